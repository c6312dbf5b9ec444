// Package zsmalloc keeps many small objects in few frames of an arena, outside the Go heap, and can move them.
// It models the kernel's allocator of the same name (mm/zsmalloc.c).
//
//	handle ─► handle word: live | run | class | index | pin ─► zspage ─► object: header (handle, tag) + bytes
//
// class: one object size, headers included. zspage: 1..16 contiguous frames, cut into objects of one class.
// Being contiguous, which only user space can have, an object is one slice and never in two pieces.
// fullness group: the zspages of a class that are equally full, in steps of 10 %. Malloc takes from the fullest,
// compaction empties the emptiest.
// huge: the class whose one object is a whole frame; its headers are kept in a table of their own.
// lane: the runs of frames of one stride (1, 2, 4, 8 or 16 frames), a zspage each. Lanes only reserve address
// space, so a zspage of any length can always be placed and no run is ever split or joined.
// ready: a free run whose frames are still committed, to be used again without asking the kernel.
//
// # What survives the process
//
// The handle words, the object headers and the objects are in the arena; an object is live if somebody outside
// (the pool's slot table) holds its handle, the handle's word points at it, and its header names the handle.
// Everything else (zspage descriptors, lists, counters) is derived, lives elsewhere, and Open builds it anew.
//
// # The pin, and the race of January 2016
//
// A handle's word carries the object's location and, in bit 0, the pin. Whoever holds the pin may use or free
// the object; compaction takes it to move the object, so nobody sees one that is half copied. In the kernel's
// first version migration did this:
//
//	migrate_zspage                          zs_free
//	  pin handle                              wait for the pin
//	  copy the object
//	  record_obj: word = new location         (the store has bit 0 clear: the pin is gone)
//	                                          pin handle: succeeds
//	  unpin handle                            (clears the pin that zs_free holds)
//
// and a third party could then pin an object that was being freed. The fix, "zsmalloc: fix
// migrate_zspage-zs_free race condition", kept the bit in the value that record_obj stores. Its review found
// the rules that this package follows:
//
//  1. Only the pin's owner clears the pin. Publishing a location for a pinned handle is one atomic store of
//     location and pin together. Two stores, or a store without the bit, let a stranger in between.
//  2. A location is published only after the object's bytes are in place, and unpin is a release: whoever
//     pins next sees them. (Letting the store of the new location be the unlock lacked that in C; here every
//     access to the word is a sequentially consistent atomic.)
//  3. Publishing never reads the old word. The word of a recycled handle may hold anything, a set bit 0
//     included; preserving that bit would make a handle that is born pinned and stays so for ever.
//  4. Compaction never waits for a pin while it holds a class lock: it tries, and skips what is in use.
//     Users pin first and take the class lock after, so waiting would be a deadlock.
//  5. The old copy is freed only after the new location is published. Freeing rewrites its header, so a process killed
//     in between would leave a word that points at an object that is no more. (Nobody else is in danger: the class
//     lock is held, and so is the pin.) The same is true of rule 2 under the pin: it is the kill that makes it matter.
//  6. A handle is freed by the path that pinned it, after the object is gone; so a handle found in the header
//     of an allocated object, under the class lock, is alive.
//
// Folder model has the protocol in Promela, and each rule broken in turn: make model.
//
// Lock order: compactMu → class.mu → lane.mu; pin → class.mu (compaction, inside class.mu, only tries the pin);
// handles.mu is a leaf.
package zsmalloc
