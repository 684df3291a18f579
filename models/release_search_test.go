package models

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/policies"
)

// What the indexes find is what looking at every release would find, on both databases, for texts of all lengths and with
// every character that means something to one of the indexes.
func TestSearchFindsWhatLookingAtEveryReleaseFinds(t *testing.T) {
	window := searchWindow
	defer func() { searchWindow = window }()
	searchWindow = 5
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		rng := rand.New(rand.NewPCG(7, 8))
		words := []string{"Front", "door", `quo"te`, "it's", "100%", "a_b", `back\slash`, "Ärger", "ÄRGER", "日本語", "日本", "AND", "NOT x", "*", "(", "x", "new\nline", "{1,2}", "İ", "K", "\x1f"}
		type known struct {
			id, namespace, app, text, provides, value string
		}
		var all []known
		namespaces := map[string]string{}
		register := func(namespace, app, version, description string) known {
			t.Helper()
			k := known{namespace: namespace, app: app, text: strings.ToLower(namespace + "/" + app + "\x1f" + description),
				provides: []string{"web", "db", ""}[rng.IntN(3)], value: []string{"blue", "red", ""}[rng.IntN(3)]}
			own := map[string]string{"team": k.value}
			var provides []string
			document := map[string]any{"metadata": own}
			if k.provides != "" {
				provides = []string{k.provides, k.provides}
				document["provides"] = []any{map[string]string{"name": k.provides}, map[string]string{"name": k.provides}}
			}
			b, err := json.Marshal(document)
			require.NoError(t, err)
			require.NoError(t, s.Tx(ctx, func(tx *Store) error {
				n, _, err := tx.EnsureNamespace(ctx, &Namespace{Name: namespace})
				if err != nil {
					return err
				}
				namespaces[namespace] = n.ID
				r, err := tx.RegisterRelease(ctx, n.ID, NewRelease{Application: app, Version: version, Description: description, Metadata: string(b), Provides: provides, Own: own})
				if err == nil {
					k.id = r.ID
				}
				return err
			}))
			return k
		}
		for i := range 60 {
			description := words[rng.IntN(len(words))]
			for range rng.IntN(4) {
				description += " " + words[rng.IntN(len(words))]
			}
			all = append(all, register([]string{"shop", "infra"}[i%2], []string{"web", "worker", "api"}[rng.IntN(3)], fmt.Sprint(i), description))
		}
		check := func(f ReleaseFilter) {
			t.Helper()
			f.Visible = policies.Visible{All: true}
			var want []string
			for _, k := range slices.Backward(all) {
				if strings.Contains(k.text, strings.ToLower(f.Text)) && (f.Namespace == "" || f.Namespace == k.namespace) && (f.Application == "" || f.Application == k.app) &&
					(f.Provides == "" || f.Provides == k.provides) && (f.Metadata == nil || f.Metadata["team"] == k.value) {
					want = append(want, k.id)
				}
			}
			var have []string
			for f.PageSize = 4; ; {
				page, err := s.SearchReleases(ctx, f)
				require.NoError(t, err)
				for _, r := range page {
					have = append(have, r.ID)
				}
				if len(page) < f.PageSize {
					break
				}
				f.PageFrom = page[len(page)-1].ID
			}
			require.Equal(t, want, have, "%+v", f)
		}
		checkAll := func() {
			t.Helper()
			for _, word := range words {
				check(ReleaseFilter{Text: word})
				runes := []rune(word)
				check(ReleaseFilter{Text: string(runes[:min(2, len(runes))])})
				check(ReleaseFilter{Text: string(runes[len(runes)/2:])})
				check(ReleaseFilter{Text: word, Namespace: "infra", Metadata: map[string]string{"team": "red"}})
			}
			for _, text := range []string{"", "shop/", "op/wo", "infra/web", "doesnotoccur", "zq", strings.Repeat("front door ", 18), "web\x1ffront", "ä", "ß", `"`, "'"} {
				check(ReleaseFilter{Text: text})
			}
			check(ReleaseFilter{Application: "api"})
			check(ReleaseFilter{Application: "api", Provides: "web"})
			check(ReleaseFilter{Provides: "db", Metadata: map[string]string{"team": "blue"}})
			check(ReleaseFilter{Metadata: map[string]string{"team": ""}})
		}
		checkAll()

		// New metadata is found and the old is not.
		changed := &all[10]
		require.NoError(t, s.Tx(ctx, func(tx *Store) error {
			r, err := tx.ReleaseByID(ctx, changed.id)
			if err != nil {
				return err
			}
			return tx.ReplaceRelease(ctx, r, NewRelease{Description: "Something Else", Metadata: "{}", Own: map[string]string{"team": "green"}})
		}))
		changed.text, changed.provides, changed.value = changed.namespace+"/"+changed.app+"\x1fsomething else", "", "green"
		check(ReleaseFilter{Text: "something"})
		check(ReleaseFilter{Metadata: map[string]string{"team": "green"}})
		checkAll()

		// What is deleted is found no more, and leaves nothing in the indexes.
		require.NoError(t, s.Tx(ctx, func(tx *Store) error { return tx.DeleteNamespace(ctx, namespaces["infra"]) }))
		all = slices.DeleteFunc(all, func(k known) bool { return k.namespace == "infra" })
		checkAll()
		if s.dialect == SQLite {
			require.NoError(t, s.write.Exec("INSERT INTO release_texts_index (release_texts_index) VALUES ('integrity-check')").Error)
		}

		// The migration finds the same for releases that were there before it.
		for _, table := range []string{"release_texts", "release_terms"} {
			require.NoError(t, s.write.Exec("DELETE FROM "+table).Error)
		}
		check2, err := s.SearchReleases(ctx, ReleaseFilter{Visible: policies.Visible{All: true}, PageSize: 10})
		require.NoError(t, err)
		require.Empty(t, check2)
		// As the metadata of that release stands in its row.
		require.NoError(t, s.write.Exec("UPDATE releases SET metadata = ? WHERE id = ?", `{"metadata":{"team":"green"}}`, changed.id).Error)
		require.NoError(t, fillReleaseSearch0011(s.write))
		checkAll()
	})
}

func TestSearchTextIsBounded(t *testing.T) {
	text := releaseText("ns", "app", strings.Repeat("ä", maxReleaseText)+"end")
	require.LessOrEqual(t, len(text), maxReleaseText)
	require.True(t, storable(text))
	require.True(t, storable(releaseText("ns", "app", "a\x00b\xff")))
}
