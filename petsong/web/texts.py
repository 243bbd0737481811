"""The words of the microsite that scripts show and campaigns may replace; templates hold the rest.

{names in braces} are filled in by whoever shows the text.
"""

# What a campaign's copy may replace, by these names.
CAMPAIGN_WORDS = {
    "headline": "A love song for you and your pet",
    "lead": "Tell us who you adore. We write the song, sing both your names and press it on a spinning record to share.",
    "submit": "Make our song",
    "pet_name_example": "Biscuit",
    "owner_name_example": "Marisol",
    "said_example": "BIS-kit",
    "result_eyebrow": "Now playing",
    "result_title": "A love song for {pet_name}, from {owner_name}",
    "result_description": "Hear the song that was written and sung for {pet_name} and {owner_name}.",
    "share_text": "Listen to the love song for {pet_name}!",
    "sold_out_title": "Sorry, we're all sold out!",
    "sold_out_text": "Every song has found its pet for now. Please check back later.",
    "credit": "Words, music and voices are made by AI, by the song service Sonauto (now Treblo).",
}

SHARED = {
    "one_second": "1 second",
    "seconds": "{n} seconds",
    "minutes": "{n} minutes",
    "song_for": "Song for {pet_name}",
    "song": "A song",
}

FORM = {
    **SHARED,
    "sending": "Sending…",
    "required_pet_name": "Please tell us your pet's name",
    "required_owner_name": "Please tell us your name",
    "letters": "Only letters and spaces allowed",
    "letters_extra": "Only letters, spaces and {extra} allowed",
    "letters_said": "Only letters, spaces and - ' allowed",
    "length": "Must be {min} to {max} characters long",
    "one_of": "Must be one of: {choices}",
    "photo_add": "Choose a photo",
    "photo_change": "Change photo",
    "photo_opening": "Opening your photo…",
    "photo_chosen": "Your photo is on the record.",
    "photo_required": "Please add a photo of your pet",
    "photo_format": "Please upload JPG or PNG image under 5MB",
    "photo_small": "This photo is too small: it needs at least 400 × 400 pixels",
    "photo_unreadable": "This photo can't be opened. Please try another one.",
    "no_answer": "We couldn't reach the studio. Nothing is lost: check your connection and try again.",
    "server_error": "Something went wrong. Please try again.",
    "too_many": "That's a lot of tries at once.",
    "try_again_in": "Please try again in {time}.",
    "already_received": "We already received your form before this change; send it once more to order a second song.",
    "busy": "Many songs are being made right now. Please come back a little later.",
    "estimate": "Ready in about {time}.",
}

WAITING = {
    **SHARED,
    "stage_queued": "Waiting for a free place in the studio",
    "stage_sending": "Telling the songwriter about you two",
    "stage_generating": "Writing and singing your song",
    "stage_downloading": "Bringing your song home",
    "stage_rendering": "Pressing your record",
    "place": "You are number {n} in the queue",
    "under_a_minute": "Less than a minute to go",
    "about": "About {n} minutes to go",
    "between": "{low} to {high} minutes to go",
    "checked": "Checked at {time}: still in the making.",
}

RESULT = {
    **SHARED,
    "share": "Share",
    "share_preparing": "Preparing…",
    "share_ready": "Ready: share now",
    "share_failed": "Sharing didn't work here. The link can be copied instead.",
}

FAILURES = {
    "service": "We couldn't generate your song. Please try again with different inputs.",
    "video": "Video creation failed. Please try again.",
    "too_long": "Your song took too long to make, so we had to stop. Please try again.",
}

# (heading, message, action) of pages with one message; the message of a failed song is one of FAILURES.
FAILED = ("This song lost its way", "Retake the journey")
EXPIRED = (
    "This song has played its last turn",
    "We keep songs for a limited time only, and this one has expired. How about a new one?",
    "Make a new song",
)
UNKNOWN_SONG = (
    "We can't find this song",
    "Perhaps the link lost a letter on its way. Ask for it again, or make a song of your own.",
    "Make a song",
)
