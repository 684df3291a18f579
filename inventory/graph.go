package inventory

import (
	"context"

	"slipway/policies"
)

// Node types of a dependency graph.
const (
	NodeMain       = "main"
	NodeConsumer   = "consumer"
	NodeProvider   = "provider"
	NodeUpstream   = "upstream"
	NodeDownstream = "downstream"
	NodeExtension  = "extension"
)

// Node is a release, or an interface that the main release needs or offers.
type Node struct {
	ID    string `json:"id"` // type and label in one
	Label string `json:"label"`
	Type  string `json:"type"`
}

// Edge leads from one node to another: main upstream dependency, dependent downstream main, and so on.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Type string `json:"type"`
}

// Graph is what a release depends on and who depends on it. The main node comes first, then consumers, providers,
// upstream and downstream.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// DependencyGraph draws the graph of a release. Releases downstream are those in namespaces that v covers.
func (s *Service) DependencyGraph(ctx context.Context, f *Found, v policies.Visible) (*Graph, error) {
	m, err := f.Metadata()
	if err != nil {
		return nil, err
	}
	downstream, err := s.Store.DownstreamOf(ctx, f.Namespace, f.Application.Name, f.Release.Version, v)
	if err != nil {
		return nil, err
	}
	g := drawing{Graph: Graph{Nodes: []Node{}, Edges: []Edge{}}, seen: map[string]bool{}}
	main := g.node(NodeMain, f.ID().String())
	for _, c := range m.Consumes {
		g.edge(g.node(NodeConsumer, c.Name), main, "consumes")
	}
	for _, p := range m.Provides {
		g.edge(main, g.node(NodeProvider, p.Name), "provides")
	}
	for _, d := range m.Depends {
		g.edge(main, g.node(NodeUpstream, d.ReleaseID), "upstream")
	}
	for _, e := range m.Extends {
		g.edge(main, g.node(NodeExtension, e.ReleaseID), "extends")
	}
	for _, d := range downstream {
		label := d.Namespace + "/" + d.Application + "-v" + d.Version
		if d.Extension {
			g.edge(g.node(NodeExtension, label), main, "extends")
		} else {
			g.edge(g.node(NodeDownstream, label), main, "downstream")
		}
	}
	return &g.Graph, nil
}

// drawing is a graph that is being drawn. The same dependency under two variables is one node.
type drawing struct {
	Graph
	seen map[string]bool
}

// node adds a node, unless it is there already, and gives its id.
func (d *drawing) node(kind, label string) string {
	id := kind + label
	if !d.seen[id] {
		d.seen[id] = true
		d.Nodes = append(d.Nodes, Node{ID: id, Label: label, Type: kind})
	}
	return id
}

func (d *drawing) edge(from, to, kind string) {
	key := "edge " + from + " " + to + " " + kind
	if !d.seen[key] {
		d.seen[key] = true
		d.Edges = append(d.Edges, Edge{From: from, To: to, Type: kind})
	}
}
