package backing

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

var (
	// ErrDamaged is returned by Read when what is in the file is not what was written there.
	ErrDamaged = errors.New("the object is damaged")
	// ErrRead is returned by Read and Walk when the disk refuses.
	ErrRead = errors.New("the object cannot be read")
	// ErrFull is returned by Begin when no extent is free.
	ErrFull = errors.New("the backing file is full")
	// ErrNoSpace is returned by Begin when the file system has less left than is to stay free, and no extent is free that the file
	// has already.
	ErrNoSpace = errors.New("the file system of the backing file is full")
	// ErrLimit is returned by Begin when as much was written as may be, a day or a second.
	ErrLimit = errors.New("the limit of bytes written is reached")
	// ErrBackOff is returned by Begin for some time after a write has failed.
	ErrBackOff = errors.New("waiting after a write that failed")
	// ErrState is returned by Adopt when the state in the arena is damaged: what was in the file is lost.
	ErrState = errors.New("the state of the backing file is damaged")
	// ErrForeign is returned by Adopt for another file than the state is of.
	ErrForeign = errors.New("not the file that the pages were written to")
	// ErrShort says that the file has been cut.
	ErrShort = errors.New("the backing file is shorter than it was")
	// ErrNone is returned by Adopt when the state is of no file.
	ErrNone = errors.New("there is no backing file")
)

// Options say how a file is used. All but Bytes can be changed with SetLimits.
type Options struct {
	Bytes int64 // of the file that are used at most, whole extents; of a block device, no more than there is
	Limits
}

// File holds objects. See the package comment for what may be called concurrently.
type File struct {
	f       *os.File
	disk    disk
	direct  bool
	block   int // that reads are in, in bytes
	state   state
	extents []extent
	first   int // extent that may be written: before it lies what is always empty on a device
	gcm     cipher.AEAD
	now     func() time.Time

	readers chan *reader // those that nobody uses
	limits  limits
	note    note
	counts  counts

	turn struct { // the writer's
		sync.Mutex
		next    int  // extent at which the search for a free one begins
		open    tail // the extent that was written last
		held    int  // extent that is being walked, and not written over
		buffers [4][]byte
		walk    []byte
		sealer  sealer
		closed  bool
	}
}

// maxReads is how many objects are read at a time; who comes then waits.
const maxReads = 16

// New makes a tier in f, which Create opened and which it owns from now on, errors included. Its state is at base in the
// arena, which must have Layout bytes for it and no file yet.
func New(a *arena.Arena, base int64, f *os.File, o Options) (*File, error) {
	s := state{a, base}
	b, id, size, err := open(s, f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backing file: %w", err), f.Close())
	}
	bytes := min(o.Bytes, MaxBytes)
	if b.disk.device {
		bytes = min(bytes, size-tailBytes)
	}
	extents, least := int(bytes/ExtentBytes), b.disk.first()+minExtents
	if extents < least {
		return nil, errors.Join(fmt.Errorf("backing file of %d bytes: want at least %d", max(bytes, 0), least*ExtentBytes), f.Close())
	}
	if !b.disk.device {
		err = unix.Ftruncate(b.disk.fd, int64(extents)*ExtentBytes)
	}
	if err == nil {
		err = s.begin(extents, id)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backing file: %w", err), f.Close())
	}
	file := b.start(extents, o.Limits)
	if file.note.path != "" {
		if file.note.err = file.readNote(); file.note.err == nil {
			file.saveNote(true) // to know at once whether that can be done
		}
	}
	return file, nil
}

// Adopt goes on with the file that a killed process had. f is a copy of its File, or the same file opened again, and owned
// from now on, errors included; nil if there is none. Then come a Claim for each object that is still wanted, and only then
// anything else. The arena must not be in use. The errors are ErrNone, ErrForeign and ErrState, after which the state has no
// file, or those of the system, after which all is as it was.
func Adopt(a *arena.Arena, base int64, f *os.File, l Limits) (*File, error) {
	s := state{a, base}
	extents, id, err := s.adopt()
	if err != nil || extents == 0 {
		return nil, closeAlso(f, either(err, ErrNone))
	}
	if f == nil {
		return nil, errors.Join(ErrForeign, s.end())
	}
	b, found, size, err := open(s, f)
	if errors.As(err, new(unix.Errno)) && !errors.Is(err, unix.ESTALE) { // that says nothing of the file; a stale one is gone for good
		return nil, closeAlso(f, err)
	}
	if err != nil || found != id {
		return nil, closeAlso(f, errors.Join(ErrForeign, err, s.end()))
	}
	file := b.start(min(extents, int(size/ExtentBytes)), l)
	for i := range file.extents {
		file.extents[i].used = s.number(i).Load() != 0 // perhaps punched out since: then that is done once more
	}
	return file, nil
}

func either(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func closeAlso(f *os.File, err error) error {
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// opened is a file that was looked at.
type opened struct {
	f     *os.File
	disk  *fileDisk
	block int
	state state
}

func open(s state, f *os.File) (*opened, identity, int64, error) {
	d, id, size, block, err := look(f)
	return &opened{f, d, block, s}, id, size, err
}

func (o *opened) start(extents int, l Limits) *File {
	key := o.state.key()
	f := &File{
		f: o.f, disk: wrap(o.disk), direct: o.disk.direct, block: o.block, state: o.state,
		extents: make([]extent, extents), gcm: newCipher(key[:]), now: time.Now, readers: make(chan *reader, maxReads),
	}
	clear(key[:])
	f.limits.set(l)
	f.note.path = l.Note
	f.first = o.disk.first()
	f.counts.free.Store(int64(max(extents-f.first, 0)))
	for range maxReads {
		f.readers <- newReader(f.gcm)
	}
	f.turn.sealer.gcm = f.gcm
	for i := range f.turn.buffers {
		f.turn.buffers[i] = aligned(ExtentBytes)
	}
	f.turn.walk = aligned(ExtentBytes)
	f.turn.open.extent, f.turn.held = none, none
	return f
}

// File is what another process must hold a copy of to go on with the file.
func (f *File) File() *os.File { return f.f }

// Direct reports whether the page cache is passed by.
func (f *File) Direct() bool { return f.direct }

// Bytes returns the size of the file.
func (f *File) Bytes() int64 { return int64(len(f.extents)) * ExtentBytes }

// Close lets go of the file, which a successor may then Adopt. No other call may follow; reads that are in progress are
// waited for.
func (f *File) Close() error {
	f.stop()
	return f.f.Close()
}

// Remove gives up the file, with all that is in it, and its key.
func (f *File) Remove() error {
	f.stop()
	err := f.state.end()
	// What becomes of the bytes does not matter, for nobody has the key.
	_ = f.disk.punch(markBytes, f.Bytes()-markBytes)
	_ = unix.Ftruncate(int(f.f.Fd()), markBytes) // no block device
	return errors.Join(err, f.f.Close())
}

func (f *File) stop() {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.turn.closed = true
	f.endNote()
	for range maxReads {
		<-f.readers
	}
}
