package fuse

// The protocol's numbers, in the kernel's own words (include/uapi/linux/fuse.h, version 7.40 and before).

const (
	protoMajor = 7
	protoMinor = 40 // what we speak; the kernel speaks the smaller of the two

	pageBytes = 4096
	maxPages  = 256 // of one request, asked for at INIT
	maxBytes  = maxPages * pageBytes

	inHeaderBytes  = 40 // len, opcode, unique, nodeid, uid, gid, pid, extension length
	outHeaderBytes = 16 // len, error, unique
	ioInBytes      = 40 // fh, offset, size, …: the same for READ and WRITE
	maxHeadBytes   = inHeaderBytes + ioInBytes
)

type opcode uint32

const (
	opLookup      opcode = 1
	opForget      opcode = 2
	opGetattr     opcode = 3
	opSetattr     opcode = 4
	opOpen        opcode = 14
	opRead        opcode = 15
	opWrite       opcode = 16
	opStatfs      opcode = 17
	opRelease     opcode = 18
	opInit        opcode = 26
	opInterrupt   opcode = 36
	opDestroy     opcode = 38
	opBatchForget opcode = 42
	opFallocate   opcode = 43
)

// Flags of INIT. From bit 32 on they travel in a second word.
const (
	initAsyncRead = 1 << 0
	initBigWrites = 1 << 5
	initAsyncDIO  = 1 << 15
	initMaxPages  = 1 << 22
	initExt       = 1 << 30
	initHasResend = 1 << 39
	initOverURing = 1 << 41

	initWanted = initAsyncRead | initBigWrites | initAsyncDIO | initMaxPages | initExt | initHasResend
)

// Flags of an open file.
const (
	openDirectIO             = 1 << 0 // no page cache
	openNoFlush              = 1 << 5 // no FLUSH when a descriptor is closed
	openParallelDirectWrites = 1 << 6 // writes need not exclude each other
)

// Modes of FALLOCATE.
const (
	fallocKeepSize  = 0x01
	fallocPunchHole = 0x02
	fallocZeroRange = 0x10
)

const (
	notifyResend = 7       // the notification that makes the kernel queue again what was read and not answered
	resendMark   = 1 << 63 // in the number of a request that comes again
)

// Nodes. The root is fixed by the protocol.
const (
	rootNode = 1
	fileNode = 2
)

// fileName is the one name in the root directory.
const fileName = "pages"

// cacheSeconds is how long the kernel may keep names and attributes: they never change.
const cacheSeconds = 1 << 31
