"""Reports, from result lines alone: tables, pictures, pages."""
