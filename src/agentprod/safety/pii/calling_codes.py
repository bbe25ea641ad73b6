"""Country calling codes and how long the national numbers behind them are.

Sources: ITU-T E.164 (list of assigned codes); lengths as published in the metadata of Google's libphonenumber.
"""

from __future__ import annotations

__all__ = ["split_calling_code"]

# "least-most: codes"; short numbers of services (4 and 5 digits in large countries) are left out.
_LENGTHS = """
6-6: 298 299 672 687
4-5: 290
4-7: 683 690
5-5: 500 682
5-6: 247
5-7: 676 677 678 688
5-8: 686
5-10: 685
6-7: 597
6-8: 47 386
6-9: 40 252 355 376 421 508 681 689
6-10: 46 53 95 880 27 64 98
6-11: 375 595 31 852 352
6-12: 39 61 359 381 358 971
6-13: 63 43 598
6-14: 82 49
7-7: 238 239 246 248 269 291 297 592 673 674 680 691 692
7-8: 241 599 670 675 853 961 965 975
7-9: 220 231 245 265 354 385 423 967 968
7-10: 44 48 84 230 243 254 263 267 353 372 960
7-11: 501 503 507 679 886 974
7-12: 86 882 972
7-13: 90
7-14: 62
8-8: 45 216 222 223 226 227 228 232 235 236 253 257 266 350 356 357 370 371 373 374 389 505 509 800 808 973 993
8-9: 32 36 51 213 224 233 237 250 258 264 268 377 382 387 591 962 963
8-10: 20 60 229 378 506 850 855 856 964 970 976
8-11: 55 57 65 502 504 593 977
8-12: 92 383 883
8-13: 66 91
8-14: 81
9-9: 33 34 41 93 94 211 212 218 221 240 242 244 249 251 255 256 260 261 262 351 420 590 594 596 979 992 994 995 998
9-10: 380 881 966 996
9-11: 56
9-12: 870
10-10: 1 52 58 225
10-11: 54
10-12: 30
10-14: 7 234
11-12: 888 878
"""
_BY_CODE = {
    code: (int(least), int(most))
    for least, most, codes in (
        (*lengths.split("-"), codes) for lengths, codes in (line.split(":") for line in _LENGTHS.strip().splitlines())
    )
    for code in codes.split()
}


def split_calling_code(digits: str) -> tuple[str, int, int] | None:
    """Return the calling code that `digits` begin with and the shortest and longest national number, or `None`.

    A trunk zero, as in `+44 (0)20`, is part of neither length.
    """
    for width in (1, 2, 3):
        lengths = _BY_CODE.get(digits[:width])
        if lengths:
            return digits[:width], *lengths
    return None
