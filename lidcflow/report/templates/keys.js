/* Keys of a letter or digit can be switched off: speech input and unsteady hands press them unawares (WCAG 2.1.4). */
const answersKey = (() => {
  const NAME = "lidcflow.letter-keys";
  const kept = (choice) => {
    try {
      if (choice) localStorage.setItem(NAME, choice);
      return localStorage.getItem(NAME);
    } catch {
      return null; /* a browser that keeps nothing */
    }
  };
  const box = document.querySelector(".letter-keys input");
  if (!box) return () => true;
  box.checked = kept() !== "off";
  box.addEventListener("change", () => kept(box.checked ? "on" : "off"));
  box.closest(".letter-keys").hidden = false;
  return (key) => key.length > 1 || box.checked;
})();
