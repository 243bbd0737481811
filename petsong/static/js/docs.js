/* The API's documentation: the viewer, with our own document and nothing from elsewhere. */
"use strict";

(function () {
  const place = document.getElementById("docs");
  if (!window.SwaggerUIBundle) return; // scripts/assets has not run: the link to the document stays
  window.SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: false,
  });
})();
