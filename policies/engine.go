package policies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Options configure an Engine. The zero value uses the embedded policy.
type Options struct {
	// Path is a folder of policies or a bundle (.tar.gz) to be laid over the embedded policy; "" for none.
	Path string
	// Poll is how often Watch looks for changes at Path; 0 means three seconds.
	Poll time.Duration
	// Log receives decisions (at debug) and reloads; nil means slog.Default().
	Log *slog.Logger
}

// Engine evaluates the policy. It is safe for concurrent use.
type Engine struct {
	options Options
	current atomic.Pointer[compiled]

	reload sync.Mutex // one Reload at a time; guards refused
	// refused is the fingerprint of the last source that could not be used, so that it is reported once and not at
	// every poll.
	refused string
}

// New loads the policy. A source at Options.Path that cannot be read or used is an error: a server must not start with
// other rules than the ones it was told to use.
func New(o Options) (*Engine, error) {
	if o.Poll == 0 {
		o.Poll = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	e := &Engine{options: o}
	var found map[string][]byte
	var err error
	if o.Path != "" {
		if found, err = files(o.Path); err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
	}
	c, err := compile(context.Background(), found)
	if err != nil {
		return nil, fmt.Errorf("load the policy: %w", err)
	}
	e.current.Store(c)
	return e, nil
}

// Known says whether the policy has a rule for an action. Unknown actions are denied to everybody, so the route table is
// held against this at start.
func (e *Engine) Known(action string) bool {
	_, ok := e.current.Load().actions[action]
	return ok
}

// Actions lists every known action, sorted.
func (e *Engine) Actions() []string {
	actions := e.current.Load().actions
	names := make([]string, 0, len(actions))
	for a := range actions {
		names = append(names, a)
	}
	slices.Sort(names)
	return names
}

// Allow decides whether s may do action on r. An error means that the policy could not be evaluated: the answer is no.
func (e *Engine) Allow(ctx context.Context, s Subject, action string, r Resource) (bool, error) {
	c := e.current.Load()
	memo, key := s.decisions(), decisionKey{action: action, kind: r.Kind, id: r.ID, scopes: strings.Join(r.Scopes, "\x00")}
	ok, known := memo.recall(c, key)
	if !known {
		var err error
		if ok, err = c.evalAllow(ctx, allowInput(s, action, r)); err != nil {
			return false, fmt.Errorf("decide %s: %w", action, err)
		}
		memo.keep(c, key, ok)
	}
	if e.options.Log.Enabled(ctx, slog.LevelDebug) {
		e.options.Log.LogAttrs(ctx, slog.LevelDebug, "decision", append(describe(s, action),
			slog.String("resource_kind", r.Kind), slog.String("resource", r.ID), slog.Any("scopes", r.Scopes), slog.Bool("allow", ok))...)
	}
	return ok, nil
}

// Visible decides where s may do action, for lists.
func (e *Engine) Visible(ctx context.Context, s Subject, action string) (Visible, error) {
	v, err := e.current.Load().evalVisible(ctx, visibleInput(s, action))
	if err != nil {
		return Visible{}, fmt.Errorf("decide where %s is allowed: %w", action, err)
	}
	if e.options.Log.Enabled(ctx, slog.LevelDebug) {
		e.options.Log.LogAttrs(ctx, slog.LevelDebug, "visible", append(describe(s, action),
			slog.Bool("all", v.All), slog.Int("scopes", len(v.Scopes)), slog.Int("within", len(v.Within)))...)
	}
	return v, nil
}

// describe names the subject for the decision log. A token's id is no secret; the token itself never comes here.
func describe(s Subject, action string) []slog.Attr {
	return []slog.Attr{slog.String("action", action), slog.String("subject_kind", s.Kind), slog.String("subject", s.ID),
		slog.String("name", s.Name), slog.String("token", s.Token.ID)}
}

func (c *compiled) evalAllow(ctx context.Context, input ast.Value) (bool, error) {
	rs, err := c.allow.Eval(ctx, c.evalOptions(input)...)
	if err != nil {
		return false, err
	}
	// Undefined, or anything but true, is a no.
	return rs.Allowed(), nil
}

func (c *compiled) evalVisible(ctx context.Context, input ast.Value) (Visible, error) {
	rs, err := c.visible.Eval(ctx, c.evalOptions(input)...)
	if err != nil {
		return Visible{}, err
	}
	if len(rs) == 0 {
		return Visible{}, nil
	}
	answer, ok := rs[0].Expressions[0].Value.(map[string]any)
	if !ok {
		return Visible{}, errors.New(`the answer is no object of "all", "scopes" and "within"`)
	}
	all, ok := answer["all"].(bool)
	if !ok {
		return Visible{}, errors.New(`the answer's "all" is no boolean`)
	}
	scopes, err := stringList(answer, "scopes")
	if err != nil {
		return Visible{}, err
	}
	within, err := stringList(answer, "within")
	if err != nil {
		return Visible{}, err
	}
	if all && len(within) > 0 {
		// "Everywhere within" is said as plain scopes, so that All never needs a second look.
		return Visible{Scopes: within}, nil
	}
	if all {
		return Visible{All: true}, nil
	}
	return Visible{Scopes: scopes, Within: within}, nil
}

func stringList(answer map[string]any, member string) ([]string, error) {
	v, ok := answer[member]
	if !ok && member == "within" {
		return nil, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the answer's %q is no list of ids", member)
	}
	var list []string
	for _, i := range items {
		s, ok := i.(string)
		if !ok {
			return nil, fmt.Errorf("the answer's %q is no list of ids", member)
		}
		list = append(list, s)
	}
	return list, nil
}

func (c *compiled) evalOptions(input ast.Value) []rego.EvalOption {
	return []rego.EvalOption{rego.EvalParsedInput(input), rego.EvalCopyMaps(false), rego.EvalMetrics(metrics.NoOp()), rego.EvalTransaction(c.txn)}
}
