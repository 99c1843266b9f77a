"""Pictures for readers, which know no domain: contact sheets, charts, templates of pages and cards."""
