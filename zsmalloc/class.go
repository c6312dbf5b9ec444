package zsmalloc

// The kernel's constants for 4 KiB pages.
const (
	frameSize  = 4096
	headerSize = 8   // ZS_HANDLE_SIZE: what an object's header takes
	minSize    = 32  // ZS_MIN_ALLOC_SIZE: the smallest class
	sizeDelta  = 16  // ZS_SIZE_CLASS_DELTA: from one class to the next
	sizeSlots  = 255 // ZS_SIZE_CLASSES: slots of the size table, before merging

	// MaxSize is the largest object, in bytes.
	MaxSize = frameSize
	// MaxChain is the largest number of frames a zspage may have.
	MaxChain = 16
)

// class is the state of one size class. What is not under mu never changes.
type class struct {
	index         uint8 // in Pool.classes, and in handle words
	lane          uint8
	huge          bool
	size          int // bytes per object, header included
	objsPerZspage int
	framesPer     int // frames per zspage

	mu struct {
		contendedMutex
		groups  [fullnessGroups]uint32 // heads of the fullness lists: a run of the lane, 0 for none
		counts  [fullnessGroups]int    // zspages in each
		zspages int
		objects int // allocated to somebody
		frames  int // committed
	}
}

// sizeClass describes one class of the table.
type sizeClass struct{ size, frames, objs int }

// chainLength returns how many frames a zspage of a class has: one for powers of two, else the number up to
// maxChain that wastes the fewest bytes at the end, the smaller one on a tie (calculate_zspage_chain_size).
func chainLength(size, maxChain int) int {
	if size&(size-1) == 0 {
		return 1
	}
	best, waste := 1, frameSize%size
	for n := 2; n <= maxChain; n++ {
		if w := n * frameSize % size; w < waste {
			best, waste = n, w
		}
	}
	return best
}

// classTable returns the classes for a chain length, by rising size, and for each size slot the class that
// serves it. As in zs_create_pool, a slot joins the next larger class if their zspages have as many frames and
// as many objects.
func classTable(maxChain int) (classes []sizeClass, slots [sizeSlots]uint8) {
	var at [sizeSlots]int // slot → position from the end
	for i := sizeSlots - 1; i >= 0; i-- {
		size := min(minSize+i*sizeDelta, MaxSize)
		n := chainLength(size, maxChain)
		sc := sizeClass{size, n, n * frameSize / size}
		if len(classes) == 0 || classes[len(classes)-1].frames != sc.frames || classes[len(classes)-1].objs != sc.objs {
			classes = append(classes, sc)
		}
		at[i] = len(classes) - 1
	}
	for i, j := 0, len(classes)-1; i < j; i, j = i+1, j-1 {
		classes[i], classes[j] = classes[j], classes[i]
	}
	for i := range slots {
		slots[i] = uint8(len(classes) - 1 - at[i])
	}
	return classes, slots
}

// sizeSlot returns the slot of the size table for an object of n payload bytes.
func sizeSlot(n int) int {
	n += headerSize
	if n <= minSize {
		return 0
	}
	return min((n-minSize+sizeDelta-1)/sizeDelta, sizeSlots-1)
}

// laneOf returns the lane whose stride holds n frames.
func laneOf(n int) uint8 {
	lane := uint8(0)
	for 1<<lane < n {
		lane++
	}
	return lane
}

// room returns how many payload bytes an object of the class can hold.
func (c *class) room() int {
	if c.huge {
		return c.size
	}
	return c.size - headerSize
}

// freeableFramesLocked returns how many frames compaction could free: those beyond what the objects take when each
// zspage but one is full, and that one has no holes. (The kernel's zs_can_compact counts whole zspages only.)
// Preconditions: c.mu is held.
func (c *class) freeableFramesLocked() int {
	full, rest := c.mu.objects/c.objsPerZspage, c.mu.objects%c.objsPerZspage
	return c.mu.frames - full*c.framesPer - (rest*c.size+frameSize-1)/frameSize
}
