"""Labels: from analysis-ready fields to classes per cell and tables of objects."""
