"""The figures and pages of the report, drawn from data frames of the finished tables (driver)."""
