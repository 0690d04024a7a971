// Code or a table that is wider than the page can be scrolled by keyboard once it can be focused.
document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("div.highlight pre, div.table-wrapper")) {
    block.tabIndex = 0;
  }
});
