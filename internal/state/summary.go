package state

// Summarize returns the environment with each deployment's name and release, and each stage's version and status only.
// Inputs, outputs, providers and nested deployments are left out: they may hold secrets.
func (e *Environment) Summarize() *Environment {
	summary := &Environment{Name: e.Name, Deployments: make(map[string]*Deployment, len(e.Deployments))}
	for name, d := range e.Deployments {
		if d == nil { // a document that was never validated
			continue
		}
		summary.Deployments[name] = d.Summarize()
	}
	return summary
}

// Summarize is Environment.Summarize for one deployment. The text of an error is left out as well.
func (d *Deployment) Summarize() *Deployment {
	summary := &Deployment{Name: d.Name, Release: d.Release, Stages: make(map[string]*Stage, len(d.Stages))}
	for name, stage := range d.Stages {
		if stage == nil {
			continue
		}
		short := &Stage{Version: stage.Version}
		if stage.Status != nil {
			status := *stage.Status
			status.Data = nil
			short.Status = &status
		}
		summary.Stages[name] = short
	}
	return summary
}

// Summarize is Environment.Summarize for every environment of the project.
func (p *Project) Summarize() *Project {
	summary := &Project{Name: p.Name, Environments: make(map[string]*Environment, len(p.Environments))}
	for name, e := range p.Environments {
		summary.Environments[name] = e.Summarize()
	}
	return summary
}
