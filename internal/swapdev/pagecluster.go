package swapdev

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// PageCluster is a change of vm.page-cluster: 2 to the power of it is how many pages the kernel reads at a fault. It holds
// for the whole machine.
type PageCluster struct {
	Before string `json:"before"`
	Set    string `json:"set"`
}

// SetPageCluster sets vm.page-cluster and records what it was: for RestorePageCluster, or for a Clean after a kill.
func (r *Run) SetPageCluster(n int) error { return r.setPageCluster(kernel, n) }

// RestorePageCluster undoes SetPageCluster, unless somebody has changed it again meanwhile.
func (r *Run) RestorePageCluster() error {
	_, err := kernel.restorePageCluster(r.Record().PageCluster)
	return err
}

func (r *Run) setPageCluster(h host, n int) error {
	c := PageCluster{Before: read(h.pageCluster), Set: strconv.Itoa(n)}
	if _, err := strconv.Atoi(c.Before); err != nil {
		return fmt.Errorf("swapdev: %s reads %q", h.pageCluster, c.Before)
	}
	err := r.change(func(r *Record) { r.PageCluster = c })
	if err == nil && c.Before != c.Set {
		err = put(h.pageCluster, c.Set)
	}
	if err != nil {
		return fmt.Errorf("swapdev: set vm.page-cluster: %w", err)
	}
	if got := read(h.pageCluster); got != c.Set {
		return fmt.Errorf("swapdev: vm.page-cluster stays %s, wanted %s", got, c.Set)
	}
	return nil
}

func (h host) restorePageCluster(c PageCluster) (changed bool, err error) {
	if c.Before == c.Set || read(h.pageCluster) != c.Set {
		return false, nil
	}
	if _, err := strconv.Atoi(c.Before); err != nil {
		return false, errors.New("swapdev: no number of vm.page-cluster is recorded")
	}
	return true, put(h.pageCluster, c.Before)
}

func (c *cleaner) restorePageCluster(context.Context) error {
	changed, err := c.host.restorePageCluster(c.record.PageCluster)
	if changed && err == nil {
		c.say("vm.page-cluster is %s again", c.record.PageCluster.Before)
	}
	return err
}
