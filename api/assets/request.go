package assets

// The path parameters of the three scopes. Their values are read by their names; the fields say that they are known.
type (
	inTenant struct {
		ScopeID string `path:"tenant_id"`
	}
	inOrg struct {
		ScopeID string `path:"org_id"`
	}
	inGroup struct {
		ScopeID string `path:"group_id"`
	}
	onAsset struct {
		AssetID string `path:"asset_id"`
	}
	onSearch struct {
		SearchID string `path:"search_id"`
	}
	onGroup struct {
		GroupField string `path:"group_field"`
	}
	onFilter struct {
		FilterID string `path:"filter_id"`
	}
)

// The query parameters. The fields stand here for the OpenAPI document and for the check of unknown names; values are read
// from the raw query, see readQuery.
type (
	versionQuery struct {
		Version string `query:"version"`
	}
	pageQuery struct {
		Limit         string `query:"limit"`
		StartingAfter string `query:"starting_after"`
		EndingBefore  string `query:"ending_before"`
	}
	sparseQuery struct {
		Fields string `query:"fields[container_images]"`
	}
	listQuery struct {
		versionQuery
		sparseQuery
		Filter string `query:"filter"`
		Sort   string `query:"sort"`
		pageQuery
		MetaCount string `query:"meta_count"`
	}
	resultsQuery struct {
		versionQuery
		sparseQuery
		Sort string `query:"sort"`
		pageQuery
	}
	fieldsQuery struct {
		versionQuery
		AssetTypes string `query:"asset_types"`
		pageQuery
	}
	groupQuery struct {
		fieldsQuery
		Filter          string `query:"filter"`
		Sort            string `query:"sort"`
		MetaFields      string `query:"meta_fields"`
		AggregateBuilt  string `query:"aggregate[built_at]"`
		AggregateIssues string `query:"aggregate[issues]"`
	}
	suggestQuery struct {
		versionQuery
		Q string `query:"q"`
		pageQuery
		KeysOnly string `query:"keys_only"`
		Key      string `query:"key"`
	}
	body struct {
		Body []byte `body:"raw"`
	}
)

func (b *body) content() []byte { return b.Body }

// The requests of the ten operations in each scope.
type (
	listInTenant struct {
		inTenant
		listQuery
	}
	listInOrg struct {
		inOrg
		listQuery
	}
	listInGroup struct {
		inGroup
		listQuery
	}

	bulkInTenant struct {
		inTenant
		versionQuery
		body
	}
	bulkInOrg struct {
		inOrg
		versionQuery
		body
	}
	bulkInGroup struct {
		inGroup
		versionQuery
		body
	}

	getInTenant struct {
		inTenant
		onAsset
		versionQuery
		sparseQuery
	}
	getInOrg struct {
		inOrg
		onAsset
		versionQuery
		sparseQuery
	}
	getInGroup struct {
		inGroup
		onAsset
		versionQuery
		sparseQuery
	}

	updateInTenant struct {
		inTenant
		onAsset
		versionQuery
		body
	}
	updateInOrg struct {
		inOrg
		onAsset
		versionQuery
		body
	}
	updateInGroup struct {
		inGroup
		onAsset
		versionQuery
		body
	}

	resultsInTenant struct {
		inTenant
		onSearch
		resultsQuery
	}
	resultsInOrg struct {
		inOrg
		onSearch
		resultsQuery
	}
	resultsInGroup struct {
		inGroup
		onSearch
		resultsQuery
	}

	fieldsInTenant struct {
		inTenant
		fieldsQuery
	}
	fieldsInOrg struct {
		inOrg
		fieldsQuery
	}
	fieldsInGroup struct {
		inGroup
		fieldsQuery
	}

	groupInTenant struct {
		inTenant
		onGroup
		groupQuery
	}
	groupInOrg struct {
		inOrg
		onGroup
		groupQuery
	}
	groupInGroup struct {
		inGroup
		onGroup
		groupQuery
	}

	suggestInTenant struct {
		inTenant
		onFilter
		suggestQuery
	}
	suggestInOrg struct {
		inOrg
		onFilter
		suggestQuery
	}
	suggestInGroup struct {
		inGroup
		onFilter
		suggestQuery
	}
)
