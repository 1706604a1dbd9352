#!/usr/bin/env python3
"""Makes weak-keys.tsv: RSA moduli of each kind that ISS-11 refuses, and their neighbours that it allows.

Each line: name, verdict, modulus in hexadecimal. The weak ones are made the way the weak generators made
theirs; `openssl rsa` checks each as a key before its modulus is written, and a second implementation of
Fermat's method, here, counts the rounds. Needs python3 and openssl. Another run gives other numbers.
"""

import math
import secrets
import subprocess
import sys

BITS = 1024
EXPONENT = 65537


def is_prime(n):
    """Miller and Rabin, 40 rounds."""
    if any(n % small == 0 for small in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)):
        return False
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(40):
        power = pow(secrets.randbelow(n - 3) + 2, odd, n)
        if power in (1, n - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % n
            if power == n - 1:
                break
        else:
            return False
    return True


def usable(n):
    return math.gcd(n - 1, EXPONENT) == 1 and is_prime(n)


def next_prime(n):
    n |= 1
    while not usable(n):
        n += 2
    return n


def random_prime():
    return next_prime(secrets.randbits(BITS - 2) | 3 << BITS - 2)


def rounds(n):
    """Rounds of Fermat's method until n is factored; None beyond a thousand."""
    a = math.isqrt(n - 1) + 1
    for count in range(1, 1001):
        b2 = a * a - n
        if math.isqrt(b2) ** 2 == b2:
            return count
        a += 1
    return None


def close(wanted):
    """Two primes that Fermat's method finds in `wanted` rounds."""
    while True:
        p = random_prime()
        # (q - p)^2 / (8 sqrt(pq)) rounds.
        q = next_prime(p + math.isqrt(8 * p * wanted - 4 * p))
        if rounds(p * q) == wanted:
            return p, q


def roca():
    """A prime as CVE-2017-15361 made them: k M + 65537^a mod M (Nemec and others, 2017, section 2.1)."""
    product, n, count = 1, 2, 0
    while count < 126:
        if all(n % d for d in range(2, math.isqrt(n) + 1)):
            product, count = product * n, count + 1
        n += 1
    while True:
        low = pow(EXPONENT, secrets.randbelow(1 << 250), product)
        k = secrets.randbelow((1 << BITS) // product)
        p = k * product + low
        if p >> BITS - 2 == 3 and usable(p):
            return p


def checked(p, q):
    """The modulus, once OpenSSL has found the key consistent."""
    n, d = p * q, pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
    numbers = [("version", 0), ("n", n), ("e", EXPONENT), ("d", d), ("p", p), ("q", q)]
    numbers += [("dp", d % (p - 1)), ("dq", d % (q - 1)), ("qi", pow(q, -1, p))]
    text = "asn1=SEQUENCE:key\n[key]\n" + "".join(f"{k}=INTEGER:0x{v:x}\n" for k, v in numbers)
    der = subprocess.run(
        ["openssl", "asn1parse", "-genconf", "/dev/stdin", "-noout", "-out", "/dev/stdout"],
        input=text.encode(), stdout=subprocess.PIPE, check=True,
    ).stdout
    said = subprocess.run(
        ["openssl", "rsa", "-inform", "DER", "-check", "-noout"], input=der, capture_output=True, check=True
    )
    assert b"RSA key ok" in said.stdout + said.stderr, said
    return n


def main():
    first = random_prime()
    rows = [
        ("two random primes", "good", checked(random_prime(), random_prime())),
        ("the next prime (CVE-2022-26320)", "close", checked(first, next_prime(first + 2))),
        ("found in round 50", "close", checked(*close(50))),
        ("found in round 100", "close", checked(*close(100))),
        ("found in round 101", "good", checked(*close(101))),
        ("the same prime twice", "close", first * first),
        ("predictable primes (CVE-2017-15361)", "roca", checked(roca(), roca())),
    ]
    for name, verdict, modulus in rows:
        sys.stdout.write(f"{name}\t{verdict}\t{modulus:x}\n")


main()
