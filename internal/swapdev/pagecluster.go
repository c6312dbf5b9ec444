package swapdev

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// SetPageCluster sets vm.page-cluster and records what it was: for RestorePageCluster, or for a Clean after a kill.
func (r *Run) SetPageCluster(n int) error { return r.setPageCluster(kernel, n) }

// RestorePageCluster undoes SetPageCluster, unless somebody has changed it again meanwhile.
func (r *Run) RestorePageCluster() error {
	_, err := kernel.restore(kernel.pageCluster, r.Record().PageCluster)
	return err
}

func (r *Run) setPageCluster(h host, n int) error {
	c := Sysctl{Before: read(h.pageCluster), Set: strconv.Itoa(n)}
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

func (c *cleaner) restoreSysctls(context.Context) error {
	var errs []error
	for _, s := range []struct {
		path, name string
		change     *Sysctl
	}{
		{c.host.pageCluster, "vm.page-cluster", &c.record.PageCluster},
		{c.host.swappiness, "vm.swappiness", &c.record.Swappiness},
	} {
		changed, err := c.host.restore(s.path, *s.change)
		if changed && err == nil {
			c.say("%s is %s again", s.name, s.change.Before)
		}
		if err == nil && *s.change != (Sysctl{}) { // once, also if the rest has to be tried again: others may change it then
			*s.change = Sysctl{}
			err = writeRecord(c.dir, &c.record)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
