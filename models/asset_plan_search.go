package models

import (
	"regexp"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

var digestTerm = regexp.MustCompile(`^(sha256:|sha512:)?[0-9a-f]*$`)

// search makes the condition of q: a term anywhere in the registry, the repository (whose last element is the name), a
// label or a tag (key=value), without case; or in a digest, see searchDigests.
func (p *planning) search(term string) (string, []any) {
	term = rsql.Fold(term)
	// No text that is searched has control characters. On SQLite lines end in one.
	if !plainText(term) {
		return noAsset(term)
	}
	var parts []string
	var args []any
	add := func(sql string, more ...any) { parts, args = append(parts, sql), append(args, more...) }
	switch {
	case p.store.dialect == PostgreSQL:
		p.searchPostgres(term, add)
	case p.mayBeFound(term):
		add(p.store.like("assets.search_text"), rsql.ContainsPattern(term))
	}
	p.searchDigests(term, add)
	if len(parts) == 0 {
		return noAsset(term)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// searchPostgres looks for the term in the few distinct registries, labels and tags, so that only the repository is
// searched as text. It has a trigram index, which serves terms of three characters and more. A shorter term is either so
// frequent that a page is found by walking the order, or the repositories are looked up as well.
func (p *planning) searchPostgres(term string, add func(string, ...any)) {
	pattern := rsql.ContainsPattern(term)
	found, ok := p.find(holding(term), "", "registry", "labels", "tags")
	if p.err != nil {
		return
	}
	if !ok {
		add(repositoryHolds(term), pattern)
		add(`lower(assets.registry COLLATE "C") LIKE ?`, pattern)
		add(`EXISTS (SELECT 1 FROM unnest(assets.labels) AS x(value) WHERE lower(x.value COLLATE "C") LIKE ?)`, pattern)
		add(`EXISTS (SELECT 1 FROM unnest(assets.tag_lines) AS x(value) WHERE lower(x.value COLLATE "C") LIKE ?)`, pattern)
		return
	}
	values, counts := map[string][]string{}, map[string]int64{}
	for _, f := range found {
		v := f.value
		if f.field == "tags" {
			v = f.key + "=" + f.value
		}
		values[f.field] = append(values[f.field], v)
		counts[f.field] += f.n
	}
	for _, list := range values {
		slices.Sort(list) // the same filter is the same SQL
	}
	switch {
	case !inRepositories(term):
	case !p.many && len(term) >= 3:
		add(repositoryHolds(term), pattern)
	default:
		p.searchRepositories(term, counts["registry"]+counts["labels"]+counts["tags"], add)
	}
	if list := values["registry"]; list != nil {
		add("assets.registry = ANY(?)", list)
	}
	for field, column := range map[string]string{"labels": "labels", "tags": "tag_lines"} {
		list := values[field]
		switch {
		case list == nil:
		case counts[field] <= planLimits.fewRows:
			rare, args := p.rareOf(rareRows{where: "x." + column + " && ?::text[]", args: []any{list}})
			add(rare, args...)
		default:
			add("assets."+column+" && ?::text[]", list)
		}
	}
}

// repositoryHolds is the SQL of a repository holding a term, on PostgreSQL. For a term of less than three characters the trigram
// index gives all that there is, which PostgreSQL still takes it for where many such terms make it expect next to nothing.
func repositoryHolds(term string) string {
	if len(term) < 3 {
		return "(assets.repository || '') LIKE ?"
	}
	return "assets.repository LIKE ?"
}

// inRepositories says that a term is of characters that repositories are of, and no longer than they are: see Image.Check.
func inRepositories(term string) bool {
	return len(term) <= maxAssetName && !strings.ContainsFunc(term, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	})
}

// mayBeFound says whether any value holds a term: there are far fewer of them than assets.
func (p *planning) mayBeFound(term string) bool {
	if p.many {
		found, ok := p.find(holding(term), "", "registry", "repository", "labels", "tags")
		p.values += len(found) // they are not written into the filter
		return !ok || len(found) > 0
	}
	if p.err != nil || p.lookups <= 0 {
		return true
	}
	p.lookups--
	in, list := p.store.among("organization_id", p.query.Organizations)
	where := in + " AND field IN ('registry', 'repository', 'labels', 'tags') AND " + p.store.like("folded")
	return len(ask(p, scanNumber, "SELECT 1 FROM asset_facets WHERE "+where+" LIMIT 1", list, rsql.ContainsPattern(term))) > 0
}

// searchRepositories adds the repositories with a term that is too short for their index, or one of many. elsewhere is how
// many assets have the term in another field.
func (p *planning) searchRepositories(term string, elsewhere int64, add func(string, ...any)) {
	pattern := rsql.ContainsPattern(term)
	if elsewhere > planLimits.manyAssets || !p.many && p.frequent(pattern) {
		add(repositoryHolds(term), pattern)
		return
	}
	found, ok := p.find(holding(term), "", "repository")
	var list []string
	var n int64
	for _, f := range found {
		list, n = append(list, f.value), n+f.n
	}
	switch {
	case p.err != nil:
	case !ok || n > planLimits.manyAssets:
		add(repositoryHolds(term), pattern)
	case n > 0:
		slices.Sort(list)
		add("assets.repository = ANY(?)", list)
	}
}

// sampleSize is how many assets are looked at to see whether a term is frequent.
const sampleSize = 300

// frequent says whether many repositories have a term, as far as the first assets tell.
func (p *planning) frequent(pattern string) bool {
	if p.err != nil {
		return false
	}
	in, list := p.store.among("organization_id", p.query.Organizations)
	counts := ask(p, scanNumber, "SELECT COUNT(*) FROM (SELECT repository FROM assets WHERE "+in+" ORDER BY created_at, id LIMIT ?) x WHERE x.repository LIKE ?", list, sampleSize, pattern)
	return p.err == nil && counts[0] >= planLimits.frequentHits
}

// insideDigits is from how many hexadecimal digits on q looks inside digests too. Any shorter term of these digits is in
// many digests by chance.
const insideDigits = 8

// searchDigests adds the assets that have a digest which begins with the term, from three hexadecimal digits on, or which
// holds it, from eight on.
func (p *planning) searchDigests(term string, add func(string, ...any)) {
	m := digestTerm.FindStringSubmatch(term)
	if m == nil || m[1] == "" && len(term) < 3 || p.err != nil || p.lookups <= 0 {
		return
	}
	var match string
	var args []any
	inside := m[1] == "" && len(term) >= insideDigits
	switch {
	case inside:
		match, args = p.holds("d.digest"), []any{term, rsql.ContainsPattern(term)}
	default:
		starts := []string{term}
		if m[1] == "" {
			starts = []string{"sha256:" + term, "sha512:" + term}
		}
		var where []string
		for _, s := range starts {
			where, args = append(where, "d.digest >= ? AND d.digest < ?"), append(args, s, s+"~") // digits and a to f are below ~
		}
		match = strings.Join(where, " OR ")
	}
	match = "(" + match + ")"
	if p.few || inside && p.leavesDear() {
		add("EXISTS (SELECT 1 FROM asset_digests d WHERE d.asset_id = assets.id AND "+match+")", args...)
		return
	}
	ids, ok := p.ids(planLimits.digests, "SELECT "+p.store.idText("d.asset_id")+" FROM asset_digests d WHERE "+match, args)
	switch {
	case p.err != nil:
	case !ok:
		add("EXISTS (SELECT 1 FROM asset_digests d WHERE d.asset_id = assets.id AND "+match+")", args...)
	case len(ids) > 0:
		in, list := p.store.amongIDs("assets.id", ids)
		add(in, list)
	}
}
