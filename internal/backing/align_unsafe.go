package backing

import "unsafe"

// alignment returns how far b is from the next address that direct input and output may begin at. The heap does not move.
func alignment(b []byte) int {
	return int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (maxBlock - 1))
}
