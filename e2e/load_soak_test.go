//go:build soak

package e2e

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
)

// load triggers a pipeline again and again, until what it gives is called, which gives all that was triggered.
func (p *project) load(pipeline string, every time.Duration) (end func() []client.Ref) {
	stop, loaded := make(chan struct{}), make(chan []client.Ref)
	go func() {
		var refs []client.Ref
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				loaded <- refs
				return
			case <-tick.C:
			}
			ref, err := p.client.TriggerPipeline(p.ctx(), p.name, pipeline)
			if err != nil {
				p.t.Error(err)
				continue
			}
			refs = append(refs, ref)
		}
	}()
	return func() []client.Ref {
		close(stop)
		return <-loaded
	}
}

// deployedOnce requires that no deployment has written its line, which begins with "d-", more than once into a file.
func (p *project) deployedOnce(ran string) {
	p.t.Helper()
	counts := map[string]int{}
	for _, line := range fileLines(p.t, ran) {
		counts[line]++
	}
	for line, n := range counts {
		if strings.HasPrefix(line, "d-") {
			require.Equal(p.t, 1, n, "deployment %s ran more than once", line)
		}
	}
}
