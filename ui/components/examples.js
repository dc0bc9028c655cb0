// Example prompts: the language buttons choose which chips show; a pressed chip asks its text.
const panel = element.querySelector('details');
function show(language) {
  for (const group of element.querySelectorAll('[data-language]')) group.hidden = group.dataset.language !== language;
  for (const button of element.querySelectorAll('[data-choose]')) {
    button.setAttribute('aria-pressed', String(button.dataset.choose === language));
  }
}
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.choose) show(button.dataset.choose);
  if (button.dataset.ask !== undefined) { panel.open = false; trigger('submit', { text: button.dataset.ask }); }
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && panel.open) { panel.open = false; panel.querySelector('summary').focus(); }
});
document.addEventListener('click', (event) => {
  const inside = panel.contains(event.target) || event.target.closest('[data-choose]');
  if (panel.open && !inside) panel.open = false;
});
