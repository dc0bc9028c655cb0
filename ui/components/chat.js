// The conversation: draws `props.value` ({turns, announce}) as one row per prompt with both answers beside each other.
// Everything a model or a visitor wrote goes in as text, never as markup. Rows are kept and only what changed is
// written, so that scrolling, selection and focus survive a stream. Screen readers hear the finished answers only.
const talk = element.querySelector('.mf-talk');
const turns = element.querySelector('.mf-turns');
const spoken = element.querySelector('.mf-announce');
const WORDS = { refused: 'refused', answered: 'answered', invalid: 'invalid' };
const MARKS = { refused: '⊘', answered: '●', invalid: '◌' };
const PLAIN = 'No chat template in this checkpoint: it was asked in plain text, “User: … Assistant:”.';

function make(tag, kind, parent) {
  const node = document.createElement(tag);
  node.className = kind;
  parent.append(node);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function makeReply(parent) {
  const reply = make('article', 'mf-reply', parent);
  const head = make('header', 'mf-reply-head', reply);
  const parts = { reply, name: make('b', 'mf-reply-name', head), chip: make('code', 'mf-chip', head), verdict: make('span', 'mf-verdict', head) };
  parts.words = make('p', 'mf-words', reply);
  parts.words.dir = 'auto';
  parts.aside = make('p', 'mf-aside', reply);
  return parts;
}

function makeTurn() {
  const row = make('li', 'mf-turn', turns);
  const fresh = make('p', 'mf-fresh', row);
  fresh.textContent = 'A new conversation: examples are asked on their own';
  const prompt = make('p', 'mf-asked', row);
  prompt.dir = 'auto';
  const problem = make('p', 'mf-problem', row);
  const pair = make('div', 'mf-pair', row);
  row.parts = { fresh, prompt, problem, pair, replies: [makeReply(pair), makeReply(pair)] };
  return row;
}

function drawVerdict(node, answer) {
  const word = WORDS[answer.label] ?? '';
  node.hidden = !word;
  node.className = 'mf-verdict' + (word ? ' mf-' + answer.label : '');
  write(node, word ? `${MARKS[answer.label]} ${word}${answer.reason ? ' · ' + answer.reason : ''}` : '');
  node.title = word ? `The judge: ${word}${answer.reason ? ', ' + answer.reason : ''}` : '';
}

function drawReply(parts, answer) {
  parts.reply.dataset.state = answer.state;
  parts.reply.setAttribute('aria-label', `${answer.name}, ${answer.chip}`);
  write(parts.name, answer.name);
  write(parts.chip, answer.chip);
  parts.chip.title = answer.digest;
  drawVerdict(parts.verdict, answer);
  const silent = !answer.text.trim() && (answer.state === 'done' || answer.state === 'stopped');
  parts.words.classList.toggle('mf-silent', silent);
  write(parts.words, silent ? 'no words' : answer.text);
  const notes = [answer.state === 'stopped' ? 'Stopped before the end; not judged.' : '', answer.plain ? PLAIN : ''];
  write(parts.aside, notes.filter(Boolean).join(' '));
  parts.aside.hidden = !parts.aside.textContent;
}

function drawTurn(row, turn) {
  const { fresh, prompt, problem, pair, replies } = row.parts;
  fresh.hidden = !turn.alone || row === turns.firstChild;
  write(prompt, turn.prompt);
  write(problem, turn.problem);
  problem.hidden = !turn.problem;
  pair.hidden = Boolean(turn.problem) && turn.answers.every((answer) => !answer.text);
  turn.answers.forEach((answer, at) => drawReply(replies[at], answer));
}

function draw() {
  const value = props.value ?? { turns: [], announce: '' };
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
  const grew = value.turns.length > turns.children.length;
  while (turns.children.length > value.turns.length) turns.lastChild.remove();
  value.turns.forEach((turn, at) => drawTurn(turns.children[at] ?? makeTurn(), turn));
  talk.classList.toggle('mf-none', !value.turns.length);
  const working = value.turns.some((turn) => !turn.problem && turn.answers.some((answer) => answer.state === 'waiting' || answer.state === 'writing'));
  talk.setAttribute('aria-busy', String(working));
  write(spoken, value.announce);
  if (grew) reveal();
  else if (atEnd) talk.scrollTop = talk.scrollHeight;
}

// A new prompt comes into view: inside the conversation on a wide page, on the page itself where that is what scrolls.
function reveal() {
  talk.scrollTop = talk.scrollHeight;
  if (getComputedStyle(talk).overflowY === 'visible') turns.lastChild?.scrollIntoView({ block: 'start' });
}

draw();
watch('value', draw);
