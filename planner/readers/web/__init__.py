"""Any web address, read by ranges."""
