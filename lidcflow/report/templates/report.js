"use strict";
{% include "keys.js" %}

(() => {
  const slides = [...document.querySelectorAll(".slide")].map((slide) => slide.id);
  const thumbs = new Map([...document.querySelectorAll(".thumb")].map((thumb) => [thumb.hash.slice(1), thumb]));
  const levels = [...document.querySelectorAll(".profile .level")];
  const findings = [...document.querySelectorAll(".to-finding")];
  const places = findings.length ? findings : [...document.querySelectorAll(".to-peak")];
  const circles = document.getElementById("circles");
  if (!slides.length) return;

  const first = document.querySelector(".slide.first").id;
  const current = () => (thumbs.has(location.hash.slice(1)) ? location.hash.slice(1) : first);

  const mark = () => {
    thumbs.forEach((thumb, id) => {
      if (id === current()) thumb.setAttribute("aria-current", "true");
      else thumb.removeAttribute("aria-current");
    });
    levels.forEach((level, k) => level.classList.toggle("current", slides[k] === current()));
  };

  /* Following a link to a slide would move the page; a key should move the picture only. */
  const show = (id) => {
    const [left, top] = [window.scrollX, window.scrollY];
    location.replace("#" + id);
    window.scrollTo(left, top);
    mark();
  };

  const step = (id) => {
    if (!id) return;
    const inMontage = document.activeElement.classList.contains("thumb");
    show(id);
    if (inMontage) thumbs.get(id).focus();
    else document.getElementById(id).scrollIntoView({ block: "nearest" });
  };

  const toPlace = (by) => {
    if (!places.length) return;
    const at = places.indexOf(document.activeElement);
    const next = places[Math.min(places.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    show(next.hash.slice(1));
    next.focus();
  };

  const keys = {
    ArrowRight: () => step(slides[slides.indexOf(current()) + 1]),
    ArrowLeft: () => step(slides[slides.indexOf(current()) - 1]),
    j: () => toPlace(1),
    k: () => toPlace(-1),
    c: () => circles?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || !Object.hasOwn(keys, event.key)) return;
    if (!answersKey(event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("hashchange", mark);
  document.querySelector(".keys").hidden = false;
  mark();
})();
