"""Run folders side by side: leaderboard, plots, the paper's tables, and one page to look through."""
