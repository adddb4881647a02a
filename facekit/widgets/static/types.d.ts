// What the type checker is told of the widgets' models; `tests/widgets/test_javascript.py` compares it with Python.
// Nothing of it reaches a browser.

/** A dictionary that Python fills later: until then it is empty. */
type Filled<T> = T | { [K in keyof T]?: undefined };
type Box = [x: number, y: number, width: number, height: number];
type Values = Record<string, unknown>;

export interface Said {
  key: string;
  values?: Values;
}

/** The traits of every widget. */
export interface Shared {
  language: string;
  problem: Filled<{ key: string; values: { message?: string; reference?: string; seconds?: string } }>;
}

/** What a widget in the browser has of its Python half: anywidget's model. */
export interface Model<T extends Shared = Shared> {
  get<K extends keyof T>(name: K): T[K];
  set<K extends keyof T>(name: K, value: T[K]): void;
  save_changes(): void;
  send(content: { kind: string } & Values, callbacks?: object, buffers?: ArrayBuffer[]): void;
  on(event: string, call: (content: any, buffers: DataView<ArrayBuffer>[]) => void): void;
  off(event: string, call: (content: any, buffers: DataView<ArrayBuffer>[]) => void): void;
}

/** What is given to `render`. `signal` aborts when the view goes; not every front end has it. */
export interface View<T extends Shared> {
  model: Model<T>;
  el: HTMLElement;
  signal: Signal;
}

export type Signal = AbortSignal | undefined;
export type Child = Node | string | number | null | undefined;
export type Named<N extends string> = N extends keyof HTMLElementTagNameMap
  ? HTMLElementTagNameMap[N]
  : N extends `svg:${infer S extends keyof SVGElementTagNameMap}`
    ? SVGElementTagNameMap[S]
    : never;
export type Attribute = string | number | boolean | null | undefined | ((event: any) => void);
export interface Urls {
  keep(views: DataView<ArrayBuffer>[]): void;
  url(view: DataView<ArrayBuffer>, type?: string): string;
}
export type Tell = <E extends Element>(node: E, key: string, values?: Values, attribute?: string) => E;

declare global {
  interface Window {
    page: { executed(): void; fail(): void; theme(): void; translate(): void };
    voila_heartbeat(): void;
    voila_finish(): void;
  }
}

// -- choices, the app's bar and its sign-in

export interface AppBar extends Shared {
  names: string[];
  chosen: string;
  counts: Record<string, number>;
  label: string;
  full: boolean;
  user: string;
  role: string;
}

export interface SignIn extends Shared {
  busy: boolean;
  notice: string;
}

// -- photos

export interface Tile {
  key: string;
  photo_id: string;
  label: string;
  title: string;
  boxes: Box[];
  names: string[];
  poor: string[];
  chosen: number;
  face_id: string;
  similarity: number | null;
  person: string | null;
  note: string;
  note_key: string;
  copies: number;
  origin: string;
}

export interface LargePhoto {
  key: string;
  position: number;
  label: string;
  path: string;
  places: { path: string; words: string; link: string | null }[];
  copies: number;
  width: number | null;
  height: number | null;
  taken_at: string | null;
  camera: string | null;
  place: [latitude: number, longitude: number] | null;
  bytes: number;
  format: string | null;
  status: string;
  reason: string | null;
  faces: { box: Box; person: string | null; poor: string; similarity: number | null }[];
  chosen: number;
}

export interface Pages extends Shared {
  page: number;
  page_size: number;
  total: number;
}

export interface Gallery extends Pages {
  kind: string;
  tiles: Tile[];
  thumbs: DataView<ArrayBuffer>[];
  loaded: number;
  selected: string[];
  opened: string;
  large: Filled<LargePhoto>;
  large_picture: DataView<ArrayBuffer>;
}

export interface Probe {
  id: string;
  name: string;
  faces: { box: Box; usable: boolean; reason: string | null }[];
  chosen: number;
  problem: Filled<Said>;
}

export interface Uploader extends Shared {
  probes: Probe[];
  previews: DataView<ArrayBuffer>[];
  version: number;
  most: number;
  largest: number;
}

/** A source, and a folder or an album of it. */
export interface Places extends Shared {
  folders: { source: string; words: string; folder: string; name: string; photos: number }[];
  source: string;
  folder: string;
}

export interface PlaceChoice extends Places {
}

export interface SearchForm extends Places {
  default_similarity: number;
  similarity: number;
  after: string;
  before: string;
  include_poor: boolean;
  top_k: number;
  ready: boolean;
  busy: boolean;
  found: number;
  notes: Said[];
}

export interface Report {
  found: number;
  ingested: number;
  unchanged: number;
  duplicates: number;
  missing: number;
  faces: number;
  no_face: number;
  seconds: number;
  stopped: boolean;
  warnings: string[];
  skipped: number;
  kept_out: number;
  names_lost: { name: string; faces: number; path: string }[];
  failures: number;
  failed: { path: string; status: string; reason: string }[];
}

export interface Background {
  workers: number;
  queued: number;
  running: number;
  dead: number;
  index_due: number;
  minutes: number;
  given_up: { path: string; problem: string }[];
}

export interface IngestForm extends Shared {
  path: string;
  running: boolean;
  stopping: boolean;
  progress: Filled<{ done: number; total: number; rate: number; left: number | null }>;
  report: Filled<Report>;
  work: Filled<Background>;
}

export interface SourceKind {
  name: string;
  words: string;
  settings: Record<string, string>;
  needs_token: boolean;
  token: string;
  sign_in: boolean;
}

export interface SourceQuestion {
  text: string;
  link: string | null;
  image: string | null;
  answer: boolean;
}

export interface SourcePlace {
  name: string;
  kind: string;
  words: string;
  place: string;
  state: string;
  problem: string | null;
  remedy: string | null;
  resume_at: number | null;
  synced_at: number | null;
  photos: number;
  bytes: number;
  keep_originals: boolean;
}

export interface SourceSyncing {
  name: string;
  done: number;
  total: number;
  bytes?: number;
  stopping: boolean;
  question: SourceQuestion | null;
}

export interface SourceDone {
  name: string;
  found: number;
  ingested: number;
  duplicates: number;
  missing: number;
  faces: number;
  fetched: number;
  bytes: number;
  stopped: boolean;
  problem: string | null;
  remedy: string | null;
  failed: string[];
  failures: number;
}

export interface SourcesForm extends Shared {
  places: SourcePlace[];
  kinds: SourceKind[];
  address: Filled<{ text: string; kind: string }>;
  connected: number;
  syncing: Filled<SourceSyncing>;
  done: Filled<SourceDone>;
  signing: Filled<{ name: string; words: string; stopping: boolean; question: SourceQuestion | null }>;
  steps: Filled<{ name: string; steps: { step: string; works: boolean; found: string }[] }>;
}

// -- people

export interface Person {
  id: string;
  name: string | null;
  faces: number;
  photos: number;
  hidden: boolean;
}

export interface PeopleCards extends Pages {
  can_change: boolean;
  text: string;
  hidden: boolean;
  people: Person[];
  thumbs: DataView<ArrayBuffer>[];
  loaded: number;
  empty: string;
  selected: string[];
  question: Person[];
  conflicts: { kind: string; person: Person; count: number; photo_id: string; photo: string }[];
  running: boolean;
  stopping: boolean;
}

export interface PersonHead extends Shared {
  can_change: boolean;
  person: Filled<Person>;
  cover: DataView<ArrayBuffer>;
  selected: string[];
  faces_shown: boolean;
  outliers: string[];
  duplicates: (Person & { similarity: number })[];
  duplicate_thumbs: DataView<ArrayBuffer>[];
  taken: Filled<{ id: string; name: string }>;
  matches: Filled<{ text: string; people: Person[] }>;
  match_thumbs: DataView<ArrayBuffer>[];
}

export interface Candidate extends Person {
  similarity: number;
  pictures: DataView<ArrayBuffer>[];
}

interface Question {
  id: string;
  photo: string;
  pictures: DataView<ArrayBuffer>[];
  candidates: Candidate[];
}
export type FaceQuestion = Question & { kind: "face"; person: null; box: Box };
export type MergeQuestion = Question & { kind: "merge"; person: Person; box: null };

export interface ReviewQueue extends Shared {
  items: (FaceQuestion | MergeQuestion)[];
  decided: number;
  waiting: number;
  more: boolean;
  loaded: number;
  can_undo: boolean;
}

export interface Entry {
  number: number;
  at: string;
  user: string;
  verb: string;
  words: string;
  undone: boolean;
}

export interface PeopleJournal extends Shared {
  last: Filled<{ key: string; values: Values; number: number }>;
  entries: Entry[];
  opened: boolean;
  loaded: boolean;
}
