"""Pictures for readers, which know no domain: contact sheets."""
