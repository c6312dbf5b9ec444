package swapdev

import (
	"fmt"
	"strconv"
)

// Sysctl is a change of a setting that holds for the whole machine.
type Sysctl struct {
	Before string `json:"before"`
	Set    string `json:"set"`
}

// restore undoes a change, unless somebody has changed it again meanwhile.
func (h host) restore(path string, c Sysctl) (changed bool, err error) {
	if c.Before == c.Set || read(path) != c.Set {
		return false, nil
	}
	if _, err := strconv.Atoi(c.Before); err != nil {
		return false, fmt.Errorf("swapdev: no number of %s is recorded", path)
	}
	return true, put(path, c.Before)
}
