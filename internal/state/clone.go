package state

import (
	"maps"
	"slices"
)

// Clone copies a deployment with everything below it. The values of inputs and outputs are shared: nobody changes one in
// place.
func (d *Deployment) Clone() *Deployment {
	if d == nil {
		return nil
	}
	c := *d
	c.Inputs = maps.Clone(d.Inputs)
	if d.Stages != nil {
		c.Stages = make(map[string]*Stage, len(d.Stages))
		for name, s := range d.Stages {
			c.Stages[name] = s.Clone()
		}
	}
	return &c
}

// Clone copies a stage with the deployments below it.
func (s *Stage) Clone() *Stage {
	if s == nil {
		return nil
	}
	c := *s
	c.Inputs, c.CalculatedInputs, c.CalculatedOutputs = maps.Clone(s.Inputs), maps.Clone(s.CalculatedInputs), maps.Clone(s.CalculatedOutputs)
	c.Providers, c.Provides = maps.Clone(s.Providers), slices.Clone(s.Provides)
	if s.Status != nil {
		status := *s.Status
		c.Status = &status
	}
	if s.Deployments != nil {
		c.Deployments = make(map[string]*Deployment, len(s.Deployments))
		for name, d := range s.Deployments {
			c.Deployments[name] = d.Clone()
		}
	}
	return &c
}
