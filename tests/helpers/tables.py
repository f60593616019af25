"""Tables of the terminal as text."""

from rich.table import Table


def row_cells(table: Table) -> dict[str, list[str]]:
    """The text of each row by its first cell."""
    columns = [list(column.cells) for column in table.columns]
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in zip(*columns, strict=True)}
