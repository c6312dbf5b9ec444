package doctor

import "github.com/zswapd/zswapd/internal/swapdev"

// Facts are what Collect found, as it is, without judgement. What could not be read is Unknown or empty.
type Facts struct {
	Config []string // what is wrong with the configuration; empty: nothing

	Kernel    string // uname -r
	RAM       int64  // bytes
	Available int64  // bytes that programs could have without swapping
	HugePages int64  // bytes that are set aside for them

	PageCluster, Swappiness, MinFreeKB, WatermarkScale, WatermarkBoost int

	Zswap         bool // on
	ZswapShrinker bool
	ZswapPercent  int // of RAM, that its pool may take

	Swaps []swapdev.Area
	// SwapsProblem is why it is not known which swap is on; a kernel without swap has no such file.
	SwapsProblem string

	Runs []swapdev.Found
	// RunsProblem is why Runs may not be all there are.
	RunsProblem string
	StateOpen   bool // others than root may write where records are

	Fuse, Loop, Ublk bool // the device nodes are there

	Root       bool
	Caps       uint64 // effective, of this process
	MemlockInf bool   // no limit of locked memory

	UserNamespace bool // Root and Caps are of a user namespace

	CgroupV2     bool
	CgroupMemory bool // it has the controller of memory
	PSI          bool
	OOM          []string        // daemons that end programs for lack of memory
	Unit         string          // text of our unit and its drop-ins, "" if it is not installed
	Groups       map[string]bool // of users
	Service      *Service        // that runs; nil: none
}

// Unknown is a number that could not be read.
const Unknown = -1

// Service is a zswapd serve that runs.
type Service struct {
	PID      int
	OOMScore int
	Locked   int64 // bytes of mappings
	Swapped  int64 // bytes
}
