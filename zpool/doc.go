// Package zpool is compressed memory for pages: what zswap is in the kernel, over one zsmalloc pool in a store that
// outlives the process.
//
//	page ─► same-filled? ─► slot word (no memory)
//	     └► compress ─► too big to gain? kept raw ─► admit ─► object ─► publish the slot word ─► free what was there
//
// slot: the place of one 4 KiB page, by number; its word in the slot table alone says where the page is. worker: what
// one thread needs to store and load, so that it allocates nothing and shares nothing: codec, buffer, counters.
// same-filled: a page that repeats one pattern of up to 4 bytes is its slot word; of 8 bytes, an object of 8 bytes.
// raw: a page that compresses too little, kept as it is in one frame (the kernel's huge, or incompressible, page).
// generation: what a page's age is counted in. cold: packed again since nobody used it, by a dense codec, alone or in a
// cluster with its neighbours in a window of 16 slots; hot: as it came. sweep: the walk that finds what is idle.
//
//	hot ─ nobody uses it ─► idle ─ packed together ─► member of a cluster ─ used twice, or stored over ─► hot
//
// What happens in the background, and how hard, is a function of what is seen and of the settings: decide.
//
// # The store
//
//	superblock | slot table, 8 bytes a slot | zsmalloc's region: handle table, headers, frames
//
// All of it is one sparse arena, and only what is used takes memory. A page costs 24 bytes beside its compressed
// bytes: slot word, handle word, object header.
//
// # The crash rule
//
// The process may be killed at any instruction; the next one opens the store and finds every page whose Store had
// returned. Each change has one commit point, an atomic store of one word:
//
//   - store: the object is written, then the slot word is published, then the old object is freed. An object that no
//     slot names is garbage, and recovery sweeps it.
//   - invalidate: the slot word is cleared, then the object is freed.
//   - packing: the cluster is written, then each member's slot word is replaced, one by one, by compare-and-swap, and its old
//     object freed. Each page is there all the time, in the one or in the other.
//   - a member leaves its cluster: the slot word is replaced, then the page's bit in the cluster cleared. The last one frees it.
//     Recovery makes the bits anew from the slot words.
//   - migration, by compaction: see package zsmalloc.
//
// # Damage
//
// Every object carries a checksum of its bytes, its slot and its kind; slot words of same-filled pages carry one in
// their spare bits. A page that does not check is ErrCorrupt, never wrong bytes. Open reports what it finds, and
// damage costs the pages that it hits and no others. Slot words that were wiped out are the exception: they read as
// empty slots, and only Recovered.Unclaimed tells.
//
// # Concurrency
//
// A slot's word has a lock bit: calls on one slot take turns, calls on different slots meet at most at the lock of a
// size class. Lock order: tiers.mu → slot → pin → class. A Store that fails leaves the slot as it was. Packing never waits for
// a slot, and holds one only while its page is read, not while it is packed.
package zpool
