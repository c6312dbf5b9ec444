// Package pagegen makes 4 KiB pages that compress like the memory of real programs.
//
//	index ─► run of 16 pages ─► kind (by the Mix) and theme ─┐
//	index, version ─────────► content ───────────────────────┴─► the page's 4096 bytes
//
// kind: what a page holds: a java, node or python heap, text, JSON, machine code, a sparse table, random
// bytes, one value throughout, or the records of a store of keys and values. theme: what neighbours share, as they do in a real heap: object shapes,
// the region that pointers lead to, the words of a text, the keys of a JSON document.
// source: a whole memory image; every page of it is a pure function of the seed, the index and the version.
//
// A heap page is objects one after the other. An object has a shape, of which every field says how it varies:
//
//	header  class   near pointer   counter   small int   double           the shape
//	 1,     7f2a…,  address + 64,  n,        0 … 15,     0.5 … 1 random   one object of it
//
// The pages are the same on every machine and in every version: a test holds their hash. Nothing allocates.
//
// # How real they are
//
// Ratios of 6144 pages each, same-filled ones left out, all codecs at their fastest, as printed by
//
//	go test -v -run Ratios ./internal/pagegen -corpus DIR
//
//	          captured pages                     generated pages
//	          lz4   minlz  zstd  zstd of 16 KiB  lz4   minlz  zstd  zstd of 16 KiB
//	java      2.81  3.31   4.65  5.33            2.90  3.31   4.82  5.41
//	node      2.81  3.48   5.44  6.17            2.82  3.54   5.39  5.97
//	python    3.01  3.67   5.77  6.27            3.09  3.84   5.83  6.62
//	text      1.78  1.93   2.53  2.96            1.71  1.85   2.70  3.10
//	json      3.22  3.53   4.42  5.53            3.08  3.32   4.71  6.03
//	code      1.37  1.49   1.66  1.87            1.38  1.42   1.68  1.76
//	sparse    6.69  7.54   9.43  11.35           6.98  7.25   9.80  10.87
//	redis     8.43  9.24   10.98 17.57           8.27  8.93   10.74 16.28
//	typical                                      2.35  2.59   3.45  3.80
//
// The sizes spread as well: with lz4, generated pages fill 64 to 80 % as many 16-byte size classes as captured ones.
package pagegen
