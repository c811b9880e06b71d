const KIND = "float32";
const MISSING_WORDS = new Set([]);

const words = new DataView(new ArrayBuffer(8));
const TINY = 2 ** -126;

/** A number rounded to KIND. */
const rounded = KIND === "float32" ? Math.fround : (x) => x;

/** x y + z, rounded once to KIND. */
function fma(x, y, z) {
  return KIND === "float32" ? fmaSingle(x, y, z) : fmaDouble(x, y, z);
}

function fmaSingle(x, y, z) {
  const p = x * y; // exact
  let s = p + z;
  const r = Math.fround(s);
  if (r === s || s - s !== 0) return r;
  // s is rounded once more: wrong only where it is halfway between two numbers, and inexact
  if (Math.abs(s) >= TINY) {
    const other = r + 2 * (s - r);
    if (Math.fround(other) !== other) return r;
  }
  const error = errorOfSum(p, z, s);
  return error === 0 ? r : Math.fround(toOdd(s, error));
}

function errorOfSum(x, y, s) {
  const t = s - x;
  return x - (s - t) + (y - t);
}

/** The neighbour of the exact sum s + error whose last bit is 1, if that is inexact. */
function toOdd(s, error) {
  if (error === 0 || error !== error) return s;
  words.setFloat64(0, s);
  const bits = words.getBigInt64(0);
  if (bits & 1n) return s;
  words.setBigInt64(0, bits + (error > 0 === s > 0 ? 1n : -1n));
  return words.getFloat64(0);
}

/** A number's whole mantissa and exponent: x = mantissa 2^exponent. */
function parts(x) {
  words.setFloat64(0, x);
  const bits = words.getBigUint64(0);
  const e = Number((bits >> 52n) & 0x7ffn);
  const m = (bits & 0xfffffffffffffn) | (e ? 1n << 52n : 0n);
  return [bits >> 63n ? -m : m, (e || 1) - 1075];
}

function fmaDouble(x, y, z) {
  const p = x * y;
  const s = p + z;
  if (s - s !== 0 || x === 0 || y === 0 || x - x !== 0 || y - y !== 0 || z - z !== 0) return s;
  const [a, d] = parts(x);
  const [b, e] = parts(y);
  const [c, f] = parts(z);
  let exponent = Math.min(d + e, f);
  let sum = (a * b << BigInt(d + e - exponent)) + (c << BigInt(f - exponent));
  if (sum === 0n) return s;
  const negative = sum < 0n;
  if (negative) sum = -sum;
  // to 53 bits, or to the bits of a subnormal number; half to even
  const drop = Math.max(sum.toString(2).length - 53, -1074 - exponent);
  if (drop > 0) {
    const shift = BigInt(drop);
    const rest = sum & ((1n << shift) - 1n);
    const half = 1n << (shift - 1n);
    sum >>= shift;
    if (rest > half || (rest === half && sum & 1n)) sum += 1n;
    exponent += drop;
  }
  const value = timesPower(Number(sum), exponent);
  return negative ? -value : value;
}

/** x 2^n, exact unless it overflows: x has 53 bits and the result is a number. */
function timesPower(x, n) {
  while (n > 1000) { x *= 2 ** 1000; n -= 1000; }
  while (n < -1000) { x *= 2 ** -1000; n += 1000; }
  return x * 2 ** n;
}

const bitsOf = KIND === "float32"
  ? (x) => { words.setFloat32(0, x); return BigInt(words.getInt32(0)); }
  : (x) => { words.setFloat64(0, x); return words.getBigInt64(0); };
const numberOf = KIND === "float32"
  ? (bits) => { words.setInt32(0, Number(BigInt.asIntN(32, bits))); return words.getFloat32(0); }
  : (bits) => { words.setBigInt64(0, BigInt.asIntN(64, bits)); return words.getFloat64(0); };
const [SHIFT, BIAS] = KIND === "float32" ? [23n, 127n] : [52n, 1023n];

const two_to = (n) => (n === n ? numberOf((BigInt(Math.trunc(n)) + BIAS) << SHIFT) : n);
const times_two_to = (x, shifted) => numberOf(bitsOf(x) + (bitsOf(shifted) << SHIFT));
const exponent = (x) => Number((bitsOf(x) >> SHIFT) - BIAS);
const mantissa = (x) => numberOf((bitsOf(x) & ((1n << SHIFT) - 1n)) | (BIAS << SHIFT));
const copysign = (x, y) =>
  y < 0 || Object.is(y, -0) || (y !== y && bitsOf(y) < 0n) ? -Math.abs(x) : Math.abs(x);

/** The numbers that a text in base 64 holds. */
function numbers(text, kind) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return kind === "float32"
    ? Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true))
    : Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** The sum: one half is added to the other until one number is left. */
function total(values) {
  const a = [...values];
  for (let n = a.length; n > 1; ) {
    const half = n >> 1;
    const last = a[n - 1];
    for (let i = 0; i < half; i++) a[i] += a[half + i];
    if (n % 2) a[0] += last;
    n = half;
  }
  return a[0];
}

/** x W + b of each member, a chain of fused multiply-adds: W (P, I, O), b (P, O). */
function affine(rows, W, b, I, O) {
  return rows.map((x, m) => {
    const z = Array.from(b.subarray(m * O, (m + 1) * O));
    for (let i = 0; i < I; i++) {
      const start = (m * I + i) * O;
      const v = x[i];
      for (let o = 0; o < O; o++) z[o] = fma(v, W[start + o], z[o]);
    }
    return z;
  });
}

const BLANK = "[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const BLANKS = new RegExp(`^${BLANK}|${BLANK}$`, "g");

/** A row's value of a column; what every object has, such as a constructor, is none. */
function valueOf(row, name) {
  return name in Object.prototype && !Object.hasOwn(row, name) ? undefined : row[name];
}

/** A category's number; -1 where missing; -2 if training did not see it. */
function category(value, codes) {
  if (value === null || value === undefined || value !== value) return -1;
  const text = String(value).replace(BLANKS, "");
  if (text === "") return -1;
  const code = codes.get(text);
  if (code !== undefined) return code;
  const folded = Array.from(text, (c) => FOLDS[c] ?? c.toLowerCase()).join("");
  return MISSING_WORDS.has(folded) ? -1 : -2;
}

/** A number, NaN where missing; a Date becomes days since 1970-01-01, as UTC has it. */
function asNumber(name, value) {
  if (value === null || value === undefined) return NaN;
  const number = value instanceof Date ? value.getTime() / 86400000 : Number(value);
  if (number - number !== 0 && number === number)
    throw new RangeError(`column ${name} holds ${number}: it needs a finite number, or null`);
  return number;
}

/** cos 2πv and sin 2πv for v from 0 to below 1. */
function circle(v) {
  const k = v >= 0.875 ? 4 : v > 0.625 ? 3 : v >= 0.375 ? 2 : v > 0.125 ? 1 : 0;
  const x = (v - k / 4) * 6.283185307179586;
  const z = x * x;
  let c = COS_SERIES[0] * z;
  let s = SIN_SERIES[0] * z;
  for (let i = 1; i < 7; i++) {
    c = (c + COS_SERIES[i]) * z;
    s = (s + SIN_SERIES[i]) * z;
  }
  c = 1 + z * (c + COS_SERIES[7]);
  s = x + x * (z * (s + SIN_SERIES[7]));
  if (k % 2) [c, s] = [s, c];
  return [Math.fround(c * (1 - ((k + 1) & 2))), Math.fround(s * (1 - (k & 2)))];
}

/** The month, 0 to 11, of a day since 1970-01-01. */
function month(day) {
  const z = day + 719468;
  const doe = z - Math.floor(z / 146097) * 146097;
  const floor = Math.floor;
  const yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100));
  const mp = floor((5 * doy + 2) / 153);
  return mp < 10 ? mp + 2 : mp - 10;
}
