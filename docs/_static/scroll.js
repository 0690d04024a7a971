// Code that is wider than the page can be scrolled by keyboard once it can be focused.
document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("div.highlight pre")) {
    block.tabIndex = 0;
  }
});
