package policies

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

//go:embed authz.rego
var embeddedPolicy string

//go:embed data.json
var embeddedData []byte

// maxPolicyBytes bounds one policy source: a folder that is not one of policies must not be read whole.
const maxPolicyBytes = 8 << 20

// special are the entries of data.slipway.actions that are no roles.
var special = []string{"any", "run", "consumer"}

// compiled is one usable set of rules and data.
type compiled struct {
	allow, visible rego.PreparedEvalQuery
	actions        map[string]string
	fingerprint    string
	// txn reads the store for as long as the policy is in force. Nothing writes to it, so it blocks nobody.
	txn storage.Transaction
}

// files reads the policy source at path by name: every .rego, .json and .yaml file of a folder, or one bundle (.tar.gz).
// Rego tests are left out.
func files(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	if !info.IsDir() {
		b, err := readLimited(path, info.Size())
		if err != nil {
			return nil, err
		}
		found[filepath.Base(path)] = b
		return found, nil
	}
	// WalkDir follows no links, and a mounted Kubernetes ConfigMap is made of them: the folder and each file is a link.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	total := int64(0)
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && p != path {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch filepath.Ext(p) {
		case ".rego", ".json", ".yaml", ".yml":
		default:
			return nil
		}
		info, err := os.Stat(p)
		if err != nil || info.IsDir() || strings.HasSuffix(p, "_test.rego") {
			return err
		}
		if total += info.Size(); total > maxPolicyBytes {
			return fmt.Errorf("more than %d MB of policies", maxPolicyBytes>>20)
		}
		b, err := readLimited(p, info.Size())
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		found[filepath.ToSlash(rel)] = b
		return err
	})
	return found, err
}

func readLimited(path string, size int64) ([]byte, error) {
	if size > maxPolicyBytes {
		return nil, fmt.Errorf("%s is larger than %d MB", path, maxPolicyBytes>>20)
	}
	return os.ReadFile(path)
}

// fingerprint tells two versions of a source apart by content: times of modification lie on some file systems.
func fingerprint(found map[string][]byte) string {
	names := make([]string, 0, len(found))
	for n := range found {
		names = append(names, n)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, n := range names {
		fmt.Fprintf(h, "%q %d\n", n, len(found[n]))
		h.Write(found[n])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// parse turns a source into modules and data. Data in folder a/b of a source lands under data.a.b, as in OPA.
func parse(found map[string][]byte) (map[string]*ast.Module, map[string]any, error) {
	modules, data := map[string]*ast.Module{}, map[string]any{}
	for name, content := range found {
		if strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz") {
			b, err := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(content), "")).
				WithSkipBundleVerification(true).WithRegoVersion(ast.RegoV1).WithSizeLimitBytes(maxPolicyBytes).Read()
			if err != nil {
				return nil, nil, fmt.Errorf("bundle %s: %w", name, err)
			}
			for _, m := range b.Modules {
				if !strings.HasSuffix(m.Path, "_test.rego") {
					modules[m.Path] = m.Parsed
				}
			}
			merge(data, b.Data)
			continue
		}
		switch filepath.Ext(name) {
		case ".rego":
			m, err := ast.ParseModuleWithOpts(name, string(content), ast.ParserOptions{RegoVersion: ast.RegoV1})
			if err != nil {
				return nil, nil, err
			}
			modules[name] = m
		case ".json", ".yaml", ".yml":
			// As in a bundle, only files named data carry data; a manifest or an editor's settings are none.
			if base := filepath.Base(name); strings.TrimSuffix(base, filepath.Ext(base)) != "data" {
				continue
			}
			var v map[string]any
			if err := util.Unmarshal(content, &v); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			if dir := filepath.Dir(name); dir != "." {
				parts := strings.Split(filepath.ToSlash(dir), "/")
				for _, p := range slices.Backward(parts) {
					v = map[string]any{p: v}
				}
			}
			merge(data, v)
		default:
			return nil, nil, fmt.Errorf("%s is neither a folder of policies nor a bundle (.tar.gz)", name)
		}
	}
	return modules, data, nil
}

// merge lays src over dst: objects are merged, everything else is replaced.
func merge(dst, src map[string]any) {
	for k, v := range src {
		if d, ok := dst[k].(map[string]any); ok {
			if s, ok := v.(map[string]any); ok {
				merge(d, s)
				continue
			}
		}
		dst[k] = v
	}
}

// compile makes a usable policy of the embedded one with a source laid over it: the source's rules, where it has some,
// replace the embedded rules; its data is merged into the embedded data. It fails on whatever would make the policy
// answer wrongly later.
func compile(ctx context.Context, found map[string][]byte) (*compiled, error) {
	modules, overlay, err := parse(found)
	if err != nil {
		return nil, err
	}
	var data map[string]any
	if err := json.Unmarshal(embeddedData, &data); err != nil {
		return nil, fmt.Errorf("embedded data: %w", err)
	}
	merge(data, overlay)
	if found != nil && len(modules) == 0 && len(overlay) == 0 {
		// Most likely a folder that was emptied or is not mounted yet; that must not bring back the embedded rules.
		return nil, errors.New("the source has neither rules (*.rego) nor data (data.json)")
	}
	if len(modules) == 0 {
		m, err := ast.ParseModuleWithOpts("authz.rego", embeddedPolicy, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, err
		}
		modules["authz.rego"] = m
	}
	actions, err := actionsOf(data)
	if err != nil {
		return nil, err
	}

	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	for _, rule := range []string{"allow", "visible"} {
		if len(compiler.GetRulesExact(ast.MustParseRef("data.slipway.authz."+rule))) == 0 {
			return nil, fmt.Errorf("the policy has no rule %s in package slipway.authz", rule)
		}
	}

	c := &compiled{actions: actions, fingerprint: fingerprint(found)}
	// The store is never written after this, so it may hand out AST values without copying them.
	store := inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	if c.txn, err = store.NewTransaction(ctx); err != nil {
		return nil, err
	}
	prepare := func(query string) (rego.PreparedEvalQuery, error) {
		return rego.New(rego.Query(query), rego.Compiler(compiler), rego.Store(store)).PrepareForEval(ctx)
	}
	if c.allow, err = prepare("data.slipway.authz.allow"); err != nil {
		return nil, err
	}
	if c.visible, err = prepare("data.slipway.authz.visible"); err != nil {
		return nil, err
	}
	return c, c.probe(ctx)
}

// actionsOf reads and checks the table of actions: a misspelt role would silently forbid the action to everybody.
func actionsOf(data map[string]any) (map[string]string, error) {
	section, _ := data["slipway"].(map[string]any)
	raw, _ := section["actions"].(map[string]any)
	if len(raw) == 0 {
		return nil, errors.New("data.slipway.actions is missing")
	}
	actions := make(map[string]string, len(raw))
	for action, v := range raw {
		role, _ := v.(string)
		if Rank(role) == 0 && !slices.Contains(special, role) {
			return nil, fmt.Errorf("data.slipway.actions: %q has %v, expected a role (read, write, owner, admin) or any, run, consumer", action, v)
		}
		actions[action] = role
	}
	tokenRoles, _ := section["token_roles"].(map[string]any)
	for action, v := range tokenRoles {
		if role, _ := v.(string); Rank(role) == 0 {
			return nil, fmt.Errorf("data.slipway.token_roles: %q has %v, expected a role", action, v)
		}
	}
	return actions, nil
}

// probe evaluates both entry points once: conflicting rules and wrong shapes of visible show only then.
func (c *compiled) probe(ctx context.Context) error {
	nobody := Subject{Kind: KindAnonymous}
	reader := Subject{Kind: KindUser, ID: "probe", Name: "probe", Grants: []Grant{{Scope: "probe", Role: RoleRead}}}
	for _, s := range []Subject{nobody, reader, {Kind: KindUser, ID: "probe", Name: "probe", Admin: true}} {
		for _, action := range []string{"project:read", "project:create", "no-such:action"} {
			ok, err := c.evalAllow(ctx, allowInput(s, action, Resource{Kind: "project", ID: "probe", Scopes: []string{"probe"}}))
			if err != nil {
				return fmt.Errorf("allow: %w", err)
			}
			if ok && (s.Kind == KindAnonymous || action == "no-such:action") {
				return fmt.Errorf("the policy allows %s to a subject of kind %s: it does not deny by default", action, s.Kind)
			}
			if _, err := c.evalVisible(ctx, visibleInput(s, action)); err != nil {
				return fmt.Errorf("visible: %w", err)
			}
		}
	}
	return nil
}

// capabilities are OPA's without the functions that reach out of the process or into its environment: a decision must
// depend on its input and data alone, and a policy file must not read the server's secrets.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return slices.Contains([]string{"http.send", "net.lookup_ip_addr", "opa.runtime"}, b.Name)
	})
	c.AllowNet = []string{}
	return c
}
