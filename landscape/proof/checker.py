"""Verifies a proof file with code of its own: python-flint and the standard library, nothing else of landscape.

Every field of the file is untrusted; what is returned follows in balls from the problem and the evidence, by the lemmas of
docs/proofs.md. A found point is checked on its core, a named structure on the manifold of matrices of its rank.
"""

import json
import math
from fractions import Fraction

from flint import arb, arb_mat, ctx, fmpq

FORMAT, ROOTS = "landscape-proof/1", ("large", "small", "off")
LONGEST_TEXT, MOST_LISTS = 48_000_000, 20_000  # characters, lists and objects in the text, before anything is read
LARGEST_CORE, LARGEST_WORK, LARGEST_BITS = 1_200, 4e11, 4_096  # coordinates; coordinates cubed times bits: some minutes
MOST_CLASSES, DEEPEST, MOST_KINDS, SLACK = 10_000, 1_000, 24, 1e-6  # kinds of groups; relative slack of the distance claimed
LADDER = (128, 512, 2_048, 8_192)  # bits at which the signs of a structure are tried
PROBLEM: dict[str, object] = {"class_sizes": [int], "width": int, "depth": int, "loss": str, "decays": [float]}
COMMON: dict[str, object] = dict.fromkeys(("rank", "nullity", "index", "parameters", "bits"), int)
COMMON |= {"format": str, "kind": str, "problem": PROBLEM, "loss": [float]}
CORE: dict[str, object] = {"given": [float], "centre": [arb], "radius": float, "fixed": [int], "basis": [[float]], "inverse": None}
POINT: dict[str, object] = {"core": CORE | {"nullity": int, "index": int}, "distance": float}
STRUCTURE: dict[str, object] = {"name": str, "groups": [{"size": int, "samples": int, "root": str, "scale": [float]}]}
Found = tuple[str, int, int, arb, int]  # words; index and nullity of the core; loss; for L = 1 the index of an unused direction
Groups = dict[tuple[int, int, str, float, float], int]  # size, samples, root and ends of the scale; how many


def check(text: str) -> str:
    """Returns what the text of a proof file proves, in two sentences.

    Raises:
        ValueError: If it is not a valid proof, with one line that says why. Nothing else is raised.
    """
    before, ctx.prec = ctx.prec, LADDER[0]
    try:
        return _Proof(text).statement()
    except (json.JSONDecodeError, ZeroDivisionError, OverflowError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a valid proof: reading or checking it leads to {type(error).__name__}") from None
    finally:
        ctx.prec = before


def _require(met: bool, reason: str) -> None:
    if not met:
        raise ValueError(reason)


def _read(value: object, shape: object, where: str) -> object:
    """Returns a value that has a shape: an object or list of shapes, int, str, float (hexadecimal) or arb (mantissa, exponent)."""
    if isinstance(shape, dict) and isinstance(value, tuple) and sorted(key for key, _ in value) == sorted(shape):
        return {key: _read(part, shape[key], key) for key, part in value}
    if isinstance(shape, list) and isinstance(value, list):
        return [_read(entry, shape[0], where) for entry in value]
    if (shape is int and type(value) is int and 0 <= value < 10**60) or (shape is str and isinstance(value, str)) or shape is None:
        return value
    if shape is float and isinstance(value, str) and math.isfinite(number := float.fromhex(value)) and number.hex() == value:
        return number
    if shape is arb and isinstance(value, list) and [isinstance(part, str) for part in value] == [True, True]:
        _require(len(value[0]) < 2_500 and len(value[1]) < 6, f"expected shorter numbers in {where}")
        return arb((int(value[0]), int(value[1])))
    kind = f"an object of {', '.join(shape)} alone" if isinstance(shape, dict) else getattr(shape, "__name__", "list")
    raise ValueError(f"expected {where} as {kind} (doubles are hexadecimal text, exact numbers [mantissa, exponent] in text)")


def _spreads(product: arb_mat) -> list[arb]:
    """Row sums of |1 - product|: all below 1 prove that every matrix of `product` is regular."""
    off = (arb_mat(product.nrows(), product.nrows(), 1) - product).tolist()
    return [sum((entry.abs_upper() for entry in row), arb(0)).abs_upper() for row in off]


def _is_regular(balls: arb_mat) -> bool:
    """Whether every matrix of a ball matrix is proved to have full row rank, by a right inverse of the midpoint."""
    mid = balls.mid()
    return all(spread < 1 for spread in _spreads(balls * (mid.transpose() * (mid * mid.transpose()).inv(nonstop=True)).mid()))


def _index(balls: arb_mat) -> int:
    """Negative eigenvalues of every symmetric matrix in a ball matrix, by Schur complements; ZeroDivisionError if undecided."""
    n = balls.nrows()
    if n == 1:
        return 1 if balls[0, 0] < 0 else 0 if balls[0, 0] > 0 else 1 // 0
    order = sorted(range(n), key=lambda i: balls[i, i].abs_lower(), reverse=True)
    head, tail = order[: n // 2], order[n // 2 :]
    side, corner = _part(balls, head, tail), _part(balls, head, head)
    return _index(corner) + _index(_part(balls, tail, tail) - side.transpose() * corner.solve(side))


def _part(balls: arb_mat, rows: list[int], columns: list[int]) -> arb_mat:
    return arb_mat(len(rows), len(columns), [balls[i, j] for i in rows for j in columns])


def _bordered(rows: list[list[arb]], ties: list[tuple[int, arb, arb, arb, list[list[arb]]]]) -> int:
    """Index of `rows` with counted 2 x 2 blocks tied to it, less one: its last two variables stand for a product of two sums."""
    index, rest = -1, arb_mat(rows)
    for count, one, cross, other, side in ties:
        block = arb_mat([[one, cross], [cross, other]])
        index += count * _index(block)
        rest -= arb_mat(side).transpose() * block.solve(arb_mat(side)) * count
    return index + _index(rest)


class _Proof:
    """A file that was read: a problem with a rank r, class sizes, width d, depth L, K classes, N samples, and its evidence."""

    def __init__(self, text: str) -> None:
        small = len(text) <= LONGEST_TEXT and max(text.count("["), text.count("{")) <= MOST_LISTS
        _require(small, f"not a proof file: expected text of at most {LONGEST_TEXT} characters and {MOST_LISTS} lists")
        self.file = json.loads(text, object_pairs_hook=tuple, parse_float=str, parse_constant=str)
        top = dict(self.file) if isinstance(self.file, tuple) else {}
        known = top.get("format") == FORMAT and top.get("kind") in ("point", "structure")
        _require(known, f"not a proof file: expected an object of format {FORMAT}, kind point or structure")
        self.file = _read(self.file, COMMON | (POINT if top["kind"] == "point" else STRUCTURE), "the file")
        problem, self.r = self.file["problem"], self.file["rank"]
        self.sizes, self.d, self.L, self.decays = (problem[key] for key in ("class_sizes", "width", "depth", "decays"))
        self.squared, self.K, self.N = problem["loss"] == "mse", len(self.sizes), sum(self.sizes)
        sized = 2 <= self.K <= MOST_CLASSES and min(self.sizes) >= 1 <= self.d and 1 <= self.L <= DEEPEST
        sized = sized and len(self.decays) == self.L + 1 and min(self.decays) > 0 and problem["loss"] in ("ce", "mse")
        _require(sized, f"expected 2 to {MOST_CLASSES} classes, depth 1 to {DEEPEST}, positive decays, loss ce or mse")
        fits = self.r <= min(self.d, self.K) and 2 <= self.file["bits"] <= LARGEST_BITS and len(self.file["loss"]) == 2
        _require(fits, f"expected a rank up to width and classes, 2 to {LARGEST_BITS} bits and two bounds of the loss")

    def statement(self) -> str:
        r, d, K, L, file, sizes, decays = self.r, self.d, self.K, self.L, self.file, self.sizes, self.decays
        words, index, null, loss, unused = self.point() if file["kind"] == "point" else self.structure()
        nullity, index, P = L * r * (d - r) + null, index + (d - r) * unused, d * (self.N + K + (L - 1) * d)
        for key, value in (("nullity", nullity), ("index", index), ("parameters", P)):
            _require(file[key] == value, f"the file claims {key} {file[key]}, and {value} is proved")
        low, high = file["loss"]
        _require(loss >= low and loss <= high, f"the loss {loss.str(15)} is not proved to lie between {low!r} and {high!r}")
        each = f"{sizes[0]} samples each" if len(set(sizes)) == 1 else f"{','.join(map(str, sizes))} samples"
        each += f", depth {L}, {'squared error' if self.squared else 'cross-entropy'}"
        decay = ", ".join(map(repr, decays if len(set(decays)) > 1 else decays[:1]))
        span = f" (for every width d >= {r}: nullity {L * r} (d - {r}) + {null}, index {index})" if L > 1 and r else ""
        return (
            f"The linear model of {K} classes with {each} and decay {decay} has {words}. At width {d} its Hessian has exactly "
            f"{nullity} zero and {index} negative eigenvalues among {P}{span}, and its loss lies between {low!r} and {high!r}."
        )

    def point(self) -> Found:
        """Checks a box around a found point: one zero of the gradient on a slice, rank, symmetries, signs, distance, loss."""
        core, r, n, bits = self.file["core"], self.r, (self.L - 1) * self.r**2 + 2 * self.K * self.r, self.file["bits"]
        _require(n <= LARGEST_CORE and n**3 * bits <= LARGEST_WORK, f"not checked: {n} coordinates at {bits} bits are too many")
        ctx.prec, given, centre, half, fixed = 2 * bits + 32, core["given"], core["centre"], core["radius"], core["fixed"]
        held, m = set(fixed), n - len(fixed)
        sized = len(given) == len(centre) == n and [len(row) for row in core["basis"]] == [m] * m
        sized = sized and fixed == sorted(held & set(range(n))) and (r > 0 or core["nullity"] == core["index"] == 0)
        _require(sized, f"expected {n} coordinates, the fixed ones ascending, and a square basis of the others")
        if r == 0:
            return self.zero()
        rows = iter(core["basis"])
        basis = arb_mat(n, m, [arb(entry) for i in range(n) for entry in ([0] * m if i in held else next(rows))])
        whole = [entry + move for entry, move in zip(centre, (basis * arb_mat(m, 1, [arb(0, half)] * m)).entries(), strict=True)]
        turned = (basis.transpose() * arb_mat(_Core(self, whole).hessian()) * basis).tolist()
        curved = arb_mat([[turned[min(i, j)][max(i, j)] for j in range(m)] for i in range(m)])  # the Hessian is symmetric
        middle, scales = _Core(self, centre), [curved[i, i].mid() for i in range(m)]
        slope = basis.transpose() * arb_mat(n, 1, middle.gradient)
        inverse = arb_mat(m, m, [0 if i != j or scales[i].is_zero() else (1 / scales[i]).mid() for i in range(m) for j in range(m)])
        spreads, index = _spreads(inverse * curved), sum(bool(scale < 0) for scale in scales)
        if not all(spread < 1 for spread in spreads):
            inverse = curved.mid().inv().mid()
            spreads, index = _spreads(inverse * curved), _index(curved.mid())
        step = (inverse * slope).entries()
        contracts = all(spread < 1 and move.abs_upper() + spread * half < half for move, spread in zip(step, spreads, strict=True))
        _require(contracts, "not proved: Newton's map does not contract the box into itself")
        most = (max(move.abs_upper() for move in step) / (1 - max(spreads))).abs_upper()  # of the zero, a fixed point of the map
        reach = [arb(0, (move.abs_upper() + spread * most).upper()) for move, spread in zip(step, spreads, strict=True)]
        span = arb_mat(m, 1, reach)
        zero = [entry + move for entry, move in zip(centre, (basis * span).entries(), strict=True)]
        there = _Core(self, zero)
        _require(_is_regular(there.factors[1].transpose()), f"not proved: the factors may have a rank below {r}")
        _require(not fixed or _is_regular(there.tangents(fixed)), "not proved: the symmetries may leave fixed coordinates in place")
        counted = (core["nullity"], core["index"]) == (len(fixed), index)
        _require(counted, f"nullity {len(fixed)} and index {index} are proved in the core, the file claims other counts")
        gaps = [(entry - arb(number)).abs_upper() for entry, number in zip(zero, given, strict=True)]
        away = sum((gap * gap for gap in gaps), arb(0)).sqrt().upper()
        close = away <= arb(self.file["distance"]) * arb(1 + SLACK)
        _require(close, f"the critical point may be {away.str(3)} away from the given core, more than claimed")
        loss = middle.loss + (slope.transpose() * span + span.transpose() * curved * span * arb(0.5))[0, 0]
        words = f"exactly one critical point in the box of this proof, of rank {r} and at most"
        words += f" {math.nextafter(float(away), math.inf)!r} away from the core in the file"
        return words, index, len(fixed), loss, there.unused() if self.L == 1 and self.d > r else 0

    def zero(self) -> Found:
        """The zero point, in rationals: decays alone for L >= 2; for L = 1 diag(a), with cross-entropy diag(a) + 11'/K, d times."""
        loss, product = arb(0.5) if self.squared else arb(self.K).log(), Fraction(self.decays[0]) * Fraction(self.decays[1])
        counts = {product * self.N**2 / size - 1: self.sizes.count(size) for size in sorted(set(self.sizes))[:100]}
        _require(sum(counts.values()) == self.K, "not checked: more than 100 different class sizes at the zero point")
        index, null = sum(count for a, count in counts.items() if a < 0), counts.get(Fraction(0), 0)
        secular = self.K + sum((count / a for a, count in counts.items() if a), Fraction(0))
        if not self.squared:
            index, null = (index, null - 1) if null else (index - (secular <= 0), int(secular == 0))
        return "the critical point zero, of rank 0", 0, self.d * null * (self.L == 1), loss, index * (self.L == 1)

    def structure(self) -> Found:
        """Checks a named structure: its scales, then the signs of the reduced loss on the matrices of its rank."""
        counts: Groups = {}
        place, alone = 0, 0 if self.squared else 1
        for group in self.file["groups"]:
            g, n, root, ends = group["size"], group["samples"], group["root"], group["scale"]
            named = (g == 1) == self.squared if root in ("large", "small") else (root, g) == ("off", 1)
            sound = named and 1 <= g <= self.K - place and set(self.sizes[place : place + g]) == {n} and len(ends) == 2
            _require(sound, "expected groups of equal classes in class order, at a root large or small, or off for single classes")
            key = (g, n, root, *(ends if root != "off" else (0.0, 0.0)))
            counts[key], place = counts.get(key, 0) + 1, place + g
        r = sum(count * (key[0] - alone) for key, count in counts.items() if key[2] != "off")
        fits, name = place == self.K and r == self.r and len(counts) <= MOST_KINDS, self.name(counts) if r else "zero"
        _require(fits and self.file["name"] == name, f"expected up to {MOST_KINDS} kinds of groups of rank {self.r}, named {name}")
        for bits in LADDER if r else ():
            ctx.prec = bits
            try:
                on = [_Kind(self, c, g, n, self.scale(g, n, k, *e)) for (g, n, k, *e), c in counts.items() if k != "off"]
                off = [_Kind(self, c, g, n, arb(0)) for (g, n, k, *_), c in counts.items() if k == "off"]
                index, null = self.signs(on, off)
                unused = self.unused(on, off) if self.L == 1 and self.d > r else 0
            except (ZeroDivisionError, ValueError):
                continue
            shares = [k.fit * k.n + k.stiff * k.s * k.s * k.dim * (self.L + 1) / 2 for k in on + off]
            loss = sum((share * k.count for share, k in zip(shares, on + off, strict=True)), arb(0)) / self.N
            index += sum(count for key, count in counts.items() if key[2] == "small")  # along the scale itself
            return f"the critical point {name}, of rank {r}", index, null + self.L * r * (r - 1) // 2, loss, unused
        _require(r == 0, f"not proved: no such root between the ends of a scale, or a sign that {LADDER[-1]} bits do not decide")
        return self.zero()

    def name(self, counts: Groups) -> str:
        flat = [(root, g) for (g, _, root, *_), count in counts.items() for _ in range(count)]
        size = {root: sorted((g for k, g in flat if k == root), reverse=True) for root in ROOTS}
        present = [k for k in ROOTS if size[k] and (k != "off" or self.squared)]
        if self.squared and len(present) > 1:
            return f"modes ({', '.join(f'{len(size[k])} {k}' for k in present)})"
        every = sorted((g for _, g in flat), reverse=True)
        name = "pairs" if set(every) == {2} else f"partition ({','.join(map(str, every))})"
        name = "DNC" if self.squared or len(every) == 1 else name
        some = f" with ({','.join(map(str, size['small']))})" if "large" in present else ""
        return f"{name}{some} at the small root" if "small" in present else name

    def scale(self, g: int, n: int, root: str, *ends: float) -> arb:
        """Encloses the one root of a group's scale equation between two ends, on the side of the peak that its name says."""
        low, high, sign = arb(ends[0]), arb(ends[1]), 1 if root == "small" else -1
        a = low.union(high)
        below, above = (_Kind(self, 1, g, n, end).value * sign for end in (low, high))
        _require(low > 0 and _Kind(self, 1, g, n, a).slope * sign > 0 and below < 0 and above > 0, "no such root")
        for _ in range(100):
            before, middle = a.rad(), a.mid()
            a = (middle - _Kind(self, 1, g, n, middle).value / _Kind(self, 1, g, n, a).slope).intersection(a)
            if not a.rad() < before / 2:
                break
        return a

    def signs(self, on: list["_Kind"], off: list["_Kind"]) -> tuple[int, int]:
        """Index and nullity of the reduced loss beside the scales themselves, block by block, times N."""
        q, index, null = arb(fmpq(self.L - 1, self.L + 1)), 0, 0
        for i, one in enumerate(on):
            if one.g > 3:  # symmetric, zero diagonal
                index += one.count * (one.g * (one.g - 3) // 2) * _index(arb_mat([[one.near - q * one.stiff]]))
            if one.count > 1:  # between equal groups
                index += one.count * (one.count - 1) // 2 * one.dim**2 * _index(arb_mat([[one.far - q * one.stiff]]))
            for other in on[i + 1 :]:
                number = one.count * other.count * one.dim * other.dim
                if self.squared and one.n == other.n:  # a symmetry turns one into the other
                    null += number
                    continue
                even = (one.stiff * one.s - other.stiff * other.s) / (one.s - other.s) / 2
                odd = (one.stiff * one.s + other.stiff * other.s) / (one.s + other.s) / 2
                index += number * _index(arb_mat([[other.far + even + odd, even - odd], [even - odd, one.far + even + odd]]))
            index += sum(one.count * other.count * (other.n > one.n) for other in off if self.squared)
            null += sum(one.count * other.count * (other.n == one.n) for other in off if self.squared)
            index += 0 if self.squared else one.count * one.dim * self.standard(one, on + off)
        return index, null

    def standard(self, own: "_Kind", kinds: list["_Kind"]) -> int:
        """Index of the block of one contrast of a group: x inside, y and w on rows and columns, the mean, two for a product."""
        g, flat, share, no, one = own.g, 1 / own.edge, arb(fmpq(1, own.g)), arb(0), arb(1)
        weights = (own.same, own.near, own.near * (g - 2), own.near * (g - 2))
        forms = ([1 - 2 * share, flat, flat, -one], [no, flat, -flat, -one], [-share, flat, no, -one], [-share, no, flat, no])
        inside = -arb(fmpq((self.L - 1) * (g - 2), (self.L + 1) * g)) * own.stiff if g > 2 else arb(1)  # two classes have no x
        table = {(0, 0): inside, (1, 1): own.stiff, (2, 2): own.stiff, (3, 3): own.far * (self.K - g)}
        table |= {(1, 2): -self.K * own.tug / own.s, (1, 4): own.edge, (2, 5): own.edge * own.tug, (4, 5): -own.s}
        rows = [[table.get((min(i, j), max(i, j)), no) for j in range(6)] for i in range(6)]
        for i, j in ((i, j) for i in range(4) for j in range(4)):
            rows[i][j] += sum((weight * form[i] * form[j] for weight, form in zip(weights, forms, strict=True)), no)
        ties = []
        for k in (k for k in kinds if k.count > (k is own)):
            side = [[no, no, no, -own.far * k.edge, k.edge, no], [no, no, no, no, no, k.tug * k.edge]]
            ties.append((k.count - (k is own), own.far + own.stiff, -self.K * k.tug / own.s, k.far + own.stiff, side))
        return _bordered(rows, ties)

    def unused(self, on: list["_Kind"], off: list["_Kind"]) -> int:
        """Index of an unused direction of the inner space for L = 1: [[decay_1, G], [G', decay_0]] on what the groups leave."""
        first, last = map(arb, self.decays)
        if self.squared:
            return sum(k.count * _index(arb_mat([[first * last - arb(fmpq(k.n, self.N**2))]])) for k in off)
        no, N = arb(0), self.N
        ties = [(k.count, last, -self.K * k.tug / N, first, [[k.edge, no], [no, k.edge * k.tug / N]]) for k in on + off]
        return _bordered([[no, arb(-1)], [arb(-1), no]], ties)


class _Kind:
    """Equal groups of classes at a scale a: `count` of `g` classes with `n` samples; under squared error single modes."""

    def __init__(self, proof: _Proof, count: int, g: int, n: int, a: arb) -> None:
        self.count, self.g, self.n, self.s, self.dim = count, g, n, a * arb(n).sqrt(), g if proof.squared else g - 1
        if proof.squared:
            self.same = self.near = self.far = arb(1)
            self.pull, self.fit, spread = 1 - a, (1 - a) * (1 - a) / 2, 1 / (1 - a)
        else:
            t, near, others = arb(fmpq(g - 1, g)), (-a).exp(), proof.K - g
            outside = others * (-a * t).exp()
            total = 1 + (g - 1) * near + outside
            self.same, self.near, self.far = 1 / total, near / total, (-a * t).exp() / total
            self.pull, self.fit = (g * near + outside) / total, g * total.log()
            spread = (g * near + t * outside) / total / self.pull - t * self.pull if g > 1 else arb(0)
        self.edge, self.tug = arb(g).sqrt(), self.far * arb(n).sqrt()
        L, logs = proof.L, sum((arb(decay).log() for decay in proof.decays), arb(n).log())
        self.stiff = self.pull / a if a > 0 else arb(0)  # what the decay weighs per unit, times N, if the scale equation holds
        self.value = (L + 1) * (self.pull * n / proof.N).log() + (L - 1) * a.log() - logs  # the scale equation
        self.slope = (L - 1) / a - (L + 1) * spread


class _Core:
    """The core at a ball of coordinates: factors, products below and above each, loss, dg/dZ and curvature by class."""

    def __init__(self, proof: _Proof, x: list[arb]) -> None:
        K, r, self.proof, self.loss = proof.K, proof.r, proof, arb(0)
        self.below, self.above, self.factors, self.bends = [arb_mat(K, K, 1)], [arb_mat(K, K, 1)], [], []
        for (rows, columns), decay in zip([(r, K), *((r, r),) * (proof.L - 1), (K, r)], proof.decays, strict=True):
            self.factors.append(arb_mat(rows, columns, x[: rows * columns]))
            self.below.append(self.factors[-1] * self.below[-1])
            self.loss += sum((entry * entry for entry in x[: rows * columns]), arb(0)) * arb(decay) / 2
            x = x[rows * columns :]
        for factor in self.factors[:0:-1]:
            self.above.insert(0, self.above[0] * factor)
        logits, pulls = self.below.pop(), []
        for c, n in enumerate(proof.sizes):
            loss, pull, bend = self.fit([logits[k, c] / arb(n).sqrt() for k in range(K)], c)
            self.loss += loss * n / proof.N
            pulls.append([entry * arb(n).sqrt() / proof.N for entry in pull])
            self.bends.append(bend / proof.N)
        self.pull = arb_mat(pulls).transpose()
        parts = zip(self.above, self.below, self.factors, proof.decays, strict=True)
        slopes = [up.transpose() * self.pull * down.transpose() + factor * arb(decay) for up, down, factor, decay in parts]
        self.gradient = [entry for part in slopes for entry in part.entries()]

    def fit(self, z: list[arb], c: int) -> tuple[arb, list[arb], arb_mat]:
        """Loss, gradient and curvature of one sample of class c in its logits."""
        K = len(z)
        if self.proof.squared:
            pull = [entry - (k == c) for k, entry in enumerate(z)]
            return sum((entry * entry for entry in pull), arb(0)) / 2, pull, arb_mat(K, K, 1)
        odds = [(entry - z[c]).exp() for entry in z]
        total = sum(odds, arb(0))
        p = [entry / total for entry in odds]
        miss = [sum(p[:k] + p[k + 1 :], arb(0)) for k in range(K)]
        rho = [[p[i] * (miss[i] if i == j else -p[j]) for j in range(K)] for i in range(K)]
        return total.log(), [-miss[c] if k == c else entry for k, entry in enumerate(p)], arb_mat(rho)

    def hessian(self) -> list[list[arb]]:
        """The curvature of the logits, class by class; then the pull on changes of two factors, and the decay."""
        K, r, shapes, jacobian, bent = self.proof.K, self.proof.r, [(f.nrows(), f.ncols()) for f in self.factors], [], []
        places = [(a, i, j) for a, (rows, columns) in enumerate(shapes) for i in range(rows) for j in range(columns)]
        starts = [places.index((a, 0, 0)) for a in range(len(shapes))]
        for c, bend in enumerate(self.bends):
            rows = [[self.above[a][k, i] * self.below[a][j, c] for a, i, j in places] for k in range(K)]
            jacobian += rows
            bent += (bend * arb_mat(rows)).tolist()
        result = (arb_mat(jacobian).transpose() * arb_mat(bent)).tolist()
        for b, down in enumerate(self.below):
            through = arb_mat(r, r, 1)  # the product of the factors strictly between b and a
            for a in range(b + 1, len(shapes)):
                reach = self.above[a].transpose() * self.pull * down.transpose()
                for j, k in ((j, k) for j in range(r) for k in range(r) if not through[j, k].is_zero()):
                    for i, h in ((i, h) for i in range(shapes[a][0]) for h in range(shapes[b][1])):
                        one, other = starts[a] + i * r + j, starts[b] + k * shapes[b][1] + h
                        result[one][other] += reach[i, h] * through[j, k]
                        result[other][one] = result[one][other]
                through = self.factors[a] * through
        for place, (a, _, _) in enumerate(places):
            result[place][place] += arb(self.proof.decays[a])
        return result

    def tangents(self, fixed: list[int]) -> arb_mat:
        """Rows `fixed` of the generators of the symmetries: turns between factors, and of equal classes (squared error)."""
        columns, sizes, count = [], self.proof.sizes, len(self.factors)
        for a, factor in enumerate(self.factors):
            n, after = factor.nrows(), (a + 1) % count
            for p, q in ((i, j) for i in range(n) for j in range(i) if after or (self.proof.squared and sizes[i] == sizes[j])):
                moved = [arb_mat(f.nrows(), f.ncols()) for f in self.factors]
                turn = arb_mat(n, n, [(i == p and j == q) - (i == q and j == p) for i in range(n) for j in range(n)])
                moved[a], moved[after] = turn * factor, -(self.factors[after] * turn)
                column = [entry for f in moved for entry in f.entries()]
                columns.append([column[place] for place in fixed])
        return arb_mat(len(fixed), len(columns), [column[i] for i in range(len(fixed)) for column in columns])

    def unused(self) -> int:
        """Index of [[decay_1, G], [G', decay_0]], the Hessian in one unused direction for L = 1, whose null vectors are known."""
        K, (first, last) = self.proof.K, map(arb, self.proof.decays)
        known = arb_mat(self.factors[1].tolist() + self.factors[0].transpose().tolist())
        upper = [[last * (i == j) for j in range(K)] + row for i, row in enumerate(self.pull.tolist())]
        lower = [row + [first * (i == j) for j in range(K)] for i, row in enumerate(self.pull.transpose().tolist())]
        return _index(arb_mat(upper + lower) + known * known.transpose())
