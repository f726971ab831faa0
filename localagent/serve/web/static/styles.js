// The policy of these pages allows no style inside a document. xterm.js writes some: a few sheets, and the colours of a
// run of characters. Both go through the object model instead, which the policy does allow.
"use strict";
{
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const sheets = String(name).toLowerCase() === "style";
    // Even an empty one would be against the policy; a template shows nothing either.
    const made = create(sheets ? "template" : name, options);
    if (sheets) {
      const sheet = new CSSStyleSheet();
      document.adoptedStyleSheets.push(sheet);
      let written = "";
      Object.defineProperty(made, "textContent", {
        get: () => written,
        set: (text) => { written = String(text); sheet.replaceSync(written); },
      });
      made.remove = () => {
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
        Element.prototype.remove.call(made);
      };
    }
    return made;
  };
  const set = Element.prototype.setAttribute;
  HTMLElement.prototype.setAttribute = function (name, value) {
    if (String(name).toLowerCase() === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}
