// Package backing is where pages go that memory is too dear for: a log of sealed objects in a file or on a block device.
//
//	file:    mark | extent 0 ........ | extent 1 ........ | …          extents of 1 MiB, each written once, front to back
//	extent:  object | object | …      | zeros to a block | object | …
//	object:  header 16 | sealed bytes | GCM tag 16 | zeros to 32
//
// object: some bytes, mostly a compressed page, and what its owner says of them. Its place, position and length in units
// of 32 bytes, is all that it takes to read it, with one read of a few blocks. sealed: encrypted and authenticated with
// AES-256-GCM, each by itself, under a key that only the owner's store has: who gets hold of the file has noise. extent:
// what is written in one go, and used again when no object in it is wanted any more. batch: objects that are written
// together, and are there only when the disk has said so. Of a block device the first 5 MiB but for the mark, and the last, stay
// empty: see Create.
//
// # The state
//
// Everything that outlives the process is in one region of the owner's arena: the key, a number for the next extent to be
// written, the number that each extent was written under, and what was written in the last 24 hours. The file itself has
// no index: the owner knows the places of its objects, and says them again (Claim) when a successor opens the region. What was
// written in the last 24 hours may be in a small file as well (Limits.Note), which outlives the state.
//
// # Numbers are used once
//
// A nonce is the number that the extent was written under and the unit where the object begins. The number is taken from a
// counter in the state before anything is sealed with it, so a killed process repeats none; an extent that is written
// again, or goes on after an error, has a new one. That also tells an old copy of an extent from the one last written: it
// does not open.
//
// # Damage
//
// What comes back is what was written at this place, or ErrDamaged. A read that the disk refuses is ErrRead. A file that
// is another, or too short, or gone, costs the objects in it and nothing else.
//
// # Memory
//
// Nothing here allocates while a page is read or written: all buffers are made by Open. Input and output go past the page
// cache where the file system lets them. What the disk and its file system need of memory to take a write is theirs.
//
// # Concurrency
//
// Read, Free, Claim, SaveDay and Stats may be called concurrently with everything. A Batch, Emptiest, Walk and Sweep need the
// writer's turn, which Begin and the others wait for; one goroutine does that work. Lock order: turn → a reader's buffer, the note.
package backing
