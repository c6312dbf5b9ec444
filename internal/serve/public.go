package serve

import (
	"errors"

	"github.com/zswapd/zswapd/internal/control"
	"github.com/zswapd/zswapd/internal/metrics"
)

// goPublic begins to answer people and programs. That it cannot is told; swap goes on without.
func (d *Daemon) goPublic() {
	say := func(text string) { d.log.Error(text) }
	h := metrics.Handler(d)
	c := d.config
	o := control.Options{Path: c.Control.Socket, Group: c.Control.Group, Metrics: h, Log: say}
	s, err := control.Start(d, o)
	if err != nil && o.Group != "" { // root should be able to see what is wrong
		d.log.Error(err.Error())
		d.problem(err.Error())
		o.Group = ""
		s, err = control.Start(d, o)
	}
	if err != nil {
		d.log.Error(err.Error())
		d.problem(err.Error())
	} else {
		d.servers = append(d.servers, s)
	}
	if c.Metrics.Listen == "" {
		return
	}
	if s, err = control.StartMetrics(c.Metrics.Listen, h, say); err != nil {
		d.log.Error(err.Error())
		d.problem(err.Error())
		return
	}
	d.servers = append(d.servers, s)
}

// goPrivate ends that.
func (d *Daemon) goPrivate() (err error) {
	for _, s := range d.servers {
		err = errors.Join(err, s.Close())
	}
	d.servers = nil
	return err
}
