// Package compressor turns pages into objects and back.
//
//	page ─► Codec.Compress ─► object + ID ─► the store ─► Decoders.Decompress ─► page
//	             │                                              ▲
//	             └─ 0: no smaller, kept as it is (ID Raw) ──────┘
//
// page: 4 KiB, or a cluster of neighbours; 1 byte to [MaxPage] is served.
// object: what is kept of a page; always shorter than the page, unless it is Raw.
// ID: the format of an object, four bits of its header in the store. Numbers never change meaning, because stores
// outlive the program. Several codecs may share a format: lz4hc searches longer than lz4 and any lz4 reads both.
// codec: a way to make objects of one format, by name: "minlz", "lz4hc:3", "zstd:6".
//
// The objects are bare blocks: no stream framing and no checksum. The store has its own checksum per object, so damage
// that still decodes to a page of the right length is found there, not here. What is promised here is that a damaged
// object does no harm: no panic, no byte written outside dst, no byte read outside src.
//
// # Memory on the path of a page
//
// A codec and a set of decoders belong to one worker each. All their memory is allocated, and used once, when they are
// made: 16 bytes for s2 and minlz, 144 KiB for lz4, 264 KiB for lz4hc, 1, 2, 5 and 35 MiB for zstd from level 1, 3, 6
// and 10, 240 KiB for Decoders.
//
// One thing is out of our hands: s2, minlz and the decoder of zstd keep scratch tables in a sync.Pool inside the library
// and have no entry point without it. So the first page after a garbage collection allocates the pool's bookkeeping,
// 128 bytes per CPU and pool, and a table that two collections in a row find idle is made anew: for pages of 4 KiB it has
// 2 KiB in minlz, 10 in minlz:2, 16 in s2, about 20 in zstd (10 MiB in minlz:3, which is not for a path that somebody
// waits on); for 64 KiB 16, 72, 64, 20. That is well under a microsecond per KiB, from heap that the collector has just
// been given back. A daemon that does not allocate collects every two minutes, so it takes two to four minutes without a
// page to lose a table. lz4, lz4hc and the encoder of zstd own their tables and allocate nothing, ever.
package compressor
