package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	coreFile   = "/proc/self/coredump_filter"
	coreShared = 1<<1 | 1<<3 // shared memory without and with a file name: the store is a memfd
)

func readCoreFilter() (uint64, error) {
	text, err := os.ReadFile(coreFile)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 16, 64)
}

func writeCoreFilter(v uint64) error {
	return os.WriteFile(coreFile, fmt.Appendf(nil, "%#x", v), 0)
}

// coreFilter leaves shared memory out of core dumps.
func coreFilter() Step {
	if v, err := readCoreFilter(); err == nil && v&coreShared != 0 {
		_ = writeCoreFilter(v &^ coreShared)
	}
	return checkCoreFilter()
}

func checkCoreFilter() Step {
	s := Step{Name: CoreFilter, OK: true, Detail: "core dumps leave out shared memory"}
	v, err := readCoreFilter()
	switch {
	case os.IsNotExist(err):
		s.Detail = "this kernel writes no core dumps"
	case err != nil || v&coreShared != 0:
		s = Step{Name: CoreFilter, Detail: fmt.Sprintf("core dumps may hold what others have swapped out (%s: %#x, %v)", coreFile, v, err), Remedy: "LimitCORE=0 in the unit"}
	}
	return s
}
