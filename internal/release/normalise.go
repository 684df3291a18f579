package release

func bothScopes() []string { return []string{ScopeBuild, ScopeDeploy} }

// Normalise fills in what a document may leave out: the project, the API and core versions, scopes, names of consumer
// variables and of dependencies, and empty lists and maps. Ids of dependencies and extensions become canonical; one
// that cannot be read stays as it is and is refused by Validate.
func (m *Metadata) Normalise() {
	if m.Project == "" {
		m.Project = DefaultProject
	}
	if m.apiVersionWasNotPresent {
		m.APIVersion, m.apiVersionWasNotPresent = APIVersion, false
	}
	if m.BuiltWithCoreVersion == "" {
		m.BuiltWithCoreVersion = CoreVersion
	}
	for i := range m.Consumes {
		c := &m.Consumes[i]
		c.Scopes = scopesOrBoth(c.Scopes)
		if c.Variable == "" {
			c.Variable = c.Name
		}
	}
	for i := range m.Downloads {
		m.Downloads[i].Scopes = scopesOrBoth(m.Downloads[i].Scopes)
	}
	for i := range m.Depends {
		m.Depends[i].normalise()
	}
	for i := range m.Extends {
		if id, err := ParseID(m.Extends[i].ReleaseID); err == nil {
			m.Extends[i].ReleaseID = id.String()
		}
	}
	normaliseVariables(m.Inputs)
	normaliseVariables(m.Outputs)
	for name, errand := range m.Errands {
		if errand == nil {
			errand = &Errand{}
			m.Errands[name] = errand
		}
		if errand.Name == "" {
			errand.Name = name
		}
		if errand.ExecStage == nil {
			errand.ExecStage = &ExecStage{Script: errand.Script}
		}
		normaliseVariables(errand.Inputs)
	}
	for i := range m.Templates {
		m.Templates[i].Scopes = scopesOrBoth(m.Templates[i].Scopes)
	}
	m.fillContainers()
}

func (d *Dependency) normalise() {
	if id, err := ParseID(d.ReleaseID); err == nil {
		d.ReleaseID = id.String()
		if d.Variable == "" {
			d.Variable = id.Versionless()
		}
		if d.DeploymentName == "" {
			d.DeploymentName = d.Variable
		}
	}
	d.Scopes = scopesOrBoth(d.Scopes)
}

func normaliseVariables(variables []*Variable) {
	for i, v := range variables {
		if v == nil {
			v = &Variable{Visible: true, EvalBeforeDependencies: true}
			variables[i] = v
		}
		if v.Type == "" {
			v.Type = TypeString
			if IsMagicType(v.ID) {
				v.Type = v.ID
			}
		}
		v.Scopes = scopesOrBoth(v.Scopes)
	}
}

func scopesOrBoth(scopes []string) []string {
	if len(scopes) == 0 {
		return bothScopes()
	}
	return scopes
}

// fillContainers makes every list and map that is written print as [] or {}. Lists of values are copied before they
// change, because MarshalJSON works on a shallow copy.
func (m *Metadata) fillContainers() {
	fill(&m.Files)
	fill(&m.Metadata)
	fill(&m.Errands)
	fill(&m.Stages)
	fill(&m.VariableContext)
	list(&m.Generates)
	list(&m.Consumes)
	list(&m.Depends)
	list(&m.Extends)
	list(&m.Inputs)
	list(&m.Outputs)
	list(&m.Provides)
	list(&m.Templates)
	m.Depends = append([]Dependency{}, m.Depends...)
	for i := range m.Depends {
		fill(&m.Depends[i].Mapping)
		fill(&m.Depends[i].BuildMapping)
		fill(&m.Depends[i].DeployMapping)
		fill(&m.Depends[i].Consumes)
	}
	m.Templates = append([]Template{}, m.Templates...)
	for i := range m.Templates {
		fill(&m.Templates[i].Mapping)
	}
	errands := make(map[string]*Errand, len(m.Errands))
	for name, errand := range m.Errands {
		if errand != nil && errand.Inputs == nil {
			copied := *errand
			copied.Inputs = []*Variable{}
			errand = &copied
		}
		errands[name] = errand
	}
	m.Errands = errands
}

func fill[V any](target *map[string]V) {
	if *target == nil {
		*target = map[string]V{}
	}
}

func list[V any](target *[]V) {
	if *target == nil {
		*target = []V{}
	}
}
