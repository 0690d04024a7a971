"use strict";

// Counts down by this page's own clock: the visitor's may be set to another time than the server's.
const expiry = document.getElementById("expiry");

if (expiry) {
  const end = performance.now() + Number(expiry.dataset.seconds) * 1000;
  const show = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    expiry.textContent = left > 0 ? `for ${left} s more` : "no longer";
    expiry.classList.toggle("over", left <= 0);
  };
  show();
  setInterval(show, 250);
}
