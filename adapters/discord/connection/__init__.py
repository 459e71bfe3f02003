"""The connection to Discord: bot, login, gateway watchdog."""
