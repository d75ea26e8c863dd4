"""Integers: primes, digits, checksums and counts."""

import numpy as np

from tests.programs.catalogue import Program


def sieve(n):
    """Primes below n."""
    is_prime = np.ones(n, dtype=bool)
    is_prime[:2] = False
    for i in range(2, int(n**0.5) + 1):
        if is_prime[i]:
            is_prime[i * i :: i] = False
    return np.nonzero(is_prime)[0]


def collatz_lengths(limit):
    lengths = np.zeros(limit, dtype=np.int64)
    for start in range(1, limit):
        n = start
        steps = 0
        while n != 1:
            if n % 2 == 0:
                n = n // 2
            else:
                n = 3 * n + 1
            steps += 1
        lengths[start] = steps
    return lengths, np.argmax(lengths)


def gcd(a, b):
    while b:
        a, b = b, a % b
    return a


def coprime_table(n):
    table = np.zeros((n, n), dtype=bool)
    for i in range(1, n):
        for j in range(1, n):
            table[i, j] = gcd(i, j) == 1
    return table


def pascal(n):
    triangle = np.zeros((n, n), dtype=np.int64)
    triangle[:, 0] = 1
    for i in range(1, n):
        for j in range(1, i + 1):
            triangle[i, j] = triangle[i - 1, j - 1] + triangle[i - 1, j]
    return triangle


def modular_power(base, exponent, modulus):
    result = np.ones_like(base)
    base = base % modulus
    while exponent > 0:
        if exponent % 2 == 1:
            result = (result * base) % modulus
        base = (base * base) % modulus
        exponent //= 2
    return result


def count_partitions(total, coins):
    ways = np.zeros(total + 1, dtype=np.int64)
    ways[0] = 1
    for coin in coins:
        for amount in range(coin, total + 1):
            ways[amount] += ways[amount - coin]
    return ways


def crc_table():
    table = np.zeros(256, dtype=np.uint32)
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ 0xEDB88320 if c & 1 else c >> 1
        table[i] = c
    return table


def crc32(data):
    table = crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ int(table[(crc ^ int(byte)) & 0xFF])
    return crc ^ 0xFFFFFFFF


def xorshift(seed, n):
    """A generator of 64 bits, numbers in [0, 1)."""
    out = np.empty(n)
    state = np.uint64(seed)
    for i in range(n):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        out[i] = float(state >> np.uint64(11)) / 9007199254740992.0
    return out


def digit_sums(values):
    sums = np.zeros_like(values)
    rest = values.copy()
    while np.any(rest > 0):
        sums += rest % 10
        rest //= 10
    return sums


def magic_trace(a):
    """A sum over the diagonal added to everything."""
    trace = 0.0
    for i in range(a.shape[0]):
        trace += np.tanh(a[i, i])
    return a + trace


def popcount(x):
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return (x * 0x01010101 & 0xFFFFFFFF) >> 24


def run_length_encode(x):
    values = np.empty_like(x)
    lengths = np.zeros(len(x), dtype=int)
    count = 0
    i = 0
    while i < len(x):
        j = i
        while j < len(x) and x[j] == x[i]:
            j += 1
        values[count] = x[i]
        lengths[count] = j - i
        count += 1
        i = j
    return values[:count], lengths[:count]


def _number(size, dtype, random):
    return (size,)


def _powers(size, dtype, random):
    return random.integers(1, 10_000, size), 65537, 99_991


def _coins(size, dtype, random):
    return 10 * size, [1, 2, 5, 10, 20, 50]


def _data(size, dtype, random):
    return (random.integers(0, 256, size).astype(np.uint8),)


def _seed(size, dtype, random):
    return 88172645463325252, size


def _values(size, dtype, random):
    return (random.integers(0, 10**6, size).astype(dtype),)


def _square(size, dtype, random):
    return (random.standard_normal((size, size)).astype(dtype),)


def _runs(size, dtype, random):
    return (random.integers(0, 3, size).astype(dtype),)


PROGRAMS = (
    Program(sieve, _number, (30, 2, 100), 20_000, ("int64",)),
    Program(collatz_lengths, _number, (10, 2, 30), 500, ("int64",), loops=True),
    Program(coprime_table, _number, (8, 1, 20), 80, ("int64",), loops=True),
    Program(pascal, _number, (6, 1, 20), 60, ("int64",), loops=True),
    Program(modular_power, _powers, (6, 1, 20), 5_000, ("int64",)),
    Program(count_partitions, _coins, (6, 1, 20), 300, ("int64",), loops=True),
    Program(crc32, _data, (9, 1, 0, 40), 5_000, ("uint8",), loops=True),
    Program(xorshift, _seed, (9, 1, 0, 40), 5_000, ("uint64",), loops=True),
    Program(digit_sums, _values, (9, 1, 0, 40), 20_000, ("int64", "int32")),
    Program(magic_trace, _square, (6, 1, 0, 13), 300, rounding=10, because="tanh"),
    Program(popcount, _values, (9, 1, 0, 40), 100_000, ("int64", "uint32")),
    Program(run_length_encode, _runs, (9, 1, 0, 40), 5_000, ("int64", "float64"), loops=True),
)
