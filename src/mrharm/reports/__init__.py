"""Every sentence, table, plot and page a person reads: templates, and what fills them."""
