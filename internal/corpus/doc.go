// Package corpus finds pages to measure with, and says how many of them are worth measuring.
//
//	file, folder, gen:NAME ─► Find ─► Source ─► Read ─► pages ─► Count
//
// corpus: raw 4 KiB pages, one after the other, in a file NAME.bin; or made by package pagegen, as gen:NAME.
// same-filled: a page that repeats one 8-byte pattern. It takes no memory anywhere, so figures made of such pages say
// nothing. duplicate: a page that is equal to an earlier one; same-filled pages are not counted among them.
package corpus
